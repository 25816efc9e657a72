// This computer's own camera (本机摄像头). Pictures stay in this page: counts and landmarks go out as a Homie child of the terminal, in the
// shape that labkit gives every camera (device_profiles/generic-camera), so that lessons use both alike.
const BASE = "/static/vendor/mediapipe";
const FPS = 8;
const SHARE = 0.5; // of a core: the page has other things to do
const STALE_MS = 2000;
const REPORT_MS = 500; // forty terminals share one broker; the page itself hears every frame
const SQUARES = 12; // as in labkit/vision/blur.py: more of them, and a detector finds the face again
const MOTION = { width: 80, height: 60, step: 18, least: 0.002 };
const LOOKS = { faces: "人脸数", hands: "手数", motion: "画面变化比例" };

export const eyeId = (terminal) => `${terminal}-webcam`;

/** Why the camera is not on: insecure | unsupported | denied | missing | busy | model | lost. */
export class EyeError extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

// The smallest module with a SIMD instruction: browsers before Chrome 91, Firefox 89 and Safari 16.4 refuse it, and the detectors with it.
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

/** What a browser can say at once about its camera: "" or a reason. */
export function obstacle() {
  if (!window.isSecureContext) return "insecure";
  return navigator.mediaDevices?.getUserMedia && typeof WebAssembly === "object" && WebAssembly.validate(SIMD) ? "" : "unsupported";
}

const fraction = (value) => Math.round(Math.min(Math.max(value, 0), 1) * 1000) / 1000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** `look`: some of faces, hands, motion; `canvas` shows squares with what was found on them. Event `changed`: on, stale or off. */
export class Eye extends EventTarget {
  constructor(terminal, { look, canvas, title }) {
    super();
    Object.assign(this, { terminal, look, canvas, title, id: eyeId(terminal.id), on: false, frames: 0, said: new Map(), times: [] });
    this.announce = () => this.terminal.online && this.on && this.greet();
    this.leave = () => this.stop();
  }

  /** Ask for the camera, load the models, begin; raises EyeError. */
  async start() {
    const wrong = obstacle();
    if (wrong) throw new EyeError(wrong);
    const wanted = { video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 15, max: 30 } }, audio: false };
    const reasons = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing", OverconstrainedError: "missing" };
    this.stream = await navigator.mediaDevices.getUserMedia(wanted).catch((error) => {
      throw new EyeError(reasons[error.name] ?? "busy");
    });
    try {
      this.video = Object.assign(document.createElement("video"), { srcObject: this.stream, muted: true, playsInline: true });
      await this.video.play();
      this.models = await load(this.look);
    } catch (error) {
      this.release();
      throw new EyeError("model", { cause: error });
    }
    if (this.left) return this.release(); // the pupil has gone on meanwhile
    this.on = true;
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.stop("lost"));
    this.terminal.addEventListener("lamp", this.announce);
    window.addEventListener("pagehide", this.leave);
    this.value("stale", true);
    this.announce();
    this.tell();
    this.run();
  }

  /** Switch the camera off; what it said is taken off the broker. */
  stop(why = "") {
    this.left = true;
    if (!this.on) return;
    this.on = false;
    this.why = why;
    this.terminal.removeEventListener("lamp", this.announce);
    window.removeEventListener("pagehide", this.leave);
    this.release();
    this.terminal.readings.delete(this.id);
    this.terminal.children = this.terminal.children.filter((id) => id !== this.id);
    if (this.terminal.online) {
      for (const name of this.said.keys()) this.put(`main/${name}`, "");
      this.put("$state", why === "lost" ? "lost" : "disconnected");
    }
    this.tell();
  }

  release() {
    this.stream?.getTracks().forEach((track) => track.stop());
    if (this.video) this.video.srcObject = null;
    for (const model of Object.values(this.models ?? {})) model.close();
    this.models = null;
    const pen = this.canvas?.getContext("2d");
    pen?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  // ---- looking

  async run() {
    let shown = -1;
    let fresh = performance.now();
    while (this.on) {
      const began = performance.now();
      const { video } = this;
      if (video.currentTime !== shown && video.videoWidth) {
        shown = video.currentTime; // the newest frame, whatever came between
        fresh = began;
        try {
          this.see(began);
        } catch {
          return this.stop("lost");
        }
      } else if (began - fresh > STALE_MS && this.values().stale !== "true") {
        this.value("stale", true);
        this.tell();
      }
      const took = performance.now() - began;
      await pause(Math.max(1000 / FPS - took, took / SHARE - took, 5));
    }
  }

  see(now) {
    const { video, models } = this;
    const landmarks = {};
    if (models.faces) {
      const [wide, high] = [video.videoWidth, video.videoHeight];
      landmarks.faces = models.faces.detectForVideo(video, now).detections.map(({ boundingBox: box }) => {
        const [left, top] = [fraction(box.originX / wide), fraction(box.originY / high)];
        return [left, top, fraction((box.originX + box.width) / wide - left), fraction((box.originY + box.height) / high - top)];
      });
      this.value("faces", landmarks.faces.length);
    }
    if (models.hands) {
      landmarks.hands = models.hands.detectForVideo(video, now).landmarks.map((hand) => hand.map(({ x, y }) => [fraction(x), fraction(y)]));
      this.value("hands", landmarks.hands.length);
    }
    if (models.motion) {
      const { amount, middle } = models.motion.since(video);
      landmarks.motion = middle;
      this.value("motion", amount);
    }
    this.times = [...this.times.filter((time) => now - time < 5000), now];
    const span = now - this.times[0];
    this.value("landmarks", JSON.stringify(landmarks), REPORT_MS);
    this.value("frames", ++this.frames, 2 * REPORT_MS);
    this.value("fps", span ? ((this.times.length - 1) * 1000 / span).toFixed(1) : "0.0", 2 * REPORT_MS);
    this.draw(landmarks);
    if (this.values().stale !== "false") {
      this.value("stale", false);
      this.tell();
    }
  }

  /** Squares, and on them what was found: what the machine sees, and no face. */
  draw({ faces = [], hands = [] }) {
    if (!this.canvas) return;
    const pen = this.canvas.getContext("2d");
    const { width, height } = this.canvas;
    const rows = Math.round((SQUARES * height) / width);
    this.small ??= Object.assign(document.createElement("canvas"), { width: SQUARES, height: rows });
    const small = this.small.getContext("2d");
    small.imageSmoothingQuality = "high";
    small.drawImage(this.video, 0, 0, SQUARES, rows);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(this.small, 0, 0, width, height);
    pen.lineWidth = 3;
    pen.strokeStyle = pen.fillStyle = "#2f9e44";
    for (const [x, y, wide, high] of faces) pen.strokeRect(x * width, y * height, wide * width, high * height);
    for (const [x, y] of hands.flat()) pen.fillRect(x * width - 3, y * height - 3, 6, 6);
  }

  // ---- telling

  values() {
    return this.terminal.readings.get(this.id) ?? {};
  }

  /** A reading: the page hears it at once, the broker when it is another one and `gap` is over. */
  value(name, found, gap = 0) {
    const text = String(found);
    this.terminal.read(this.id, ["main", name], text);
    const last = this.said.get(name);
    const now = performance.now();
    if (last && (last.text === text || now - last.at < gap)) return;
    this.said.set(name, { text, at: now });
    if (this.on && this.terminal.online) this.put(`main/${name}`, text);
  }

  greet() {
    if (!this.terminal.children.includes(this.id)) this.terminal.children.push(this.id);
    if (!this.terminal.access?.agent) this.terminal.put("$description", JSON.stringify(this.terminal.description()));
    this.put("$state", "init");
    this.put("$description", JSON.stringify(this.description()));
    for (const [name, { text }] of this.said) this.put(`main/${name}`, text);
    this.put("$state", "ready");
    this.terminal.read(this.id, ["$state"], "ready");
  }

  description() {
    const count = (name) => ({ name, datatype: "integer", unit: "#", format: "0:100" });
    const seen = Object.fromEntries(this.look.map((look) => [look, look === "motion" ? { name: LOOKS.motion, datatype: "float", format: "0:1" } : count(LOOKS[look])]));
    const properties = {
      ...seen,
      frames: { name: "已处理帧数", datatype: "integer", unit: "#", format: "0:" },
      fps: { name: "帧率", datatype: "float", unit: "Hz", format: "0:240" },
      stale: { name: "画面已过时", datatype: "boolean" },
      landmarks: { name: "关键点", datatype: "json" },
    };
    const nodes = { main: { name: this.title, type: "camera", properties } };
    return { homie: "5.0", version: 1, name: this.title, type: "generic-camera", root: this.terminal.id, parent: this.terminal.id, nodes };
  }

  put(topic, payload) {
    this.terminal.client.publish(`homie/5/${this.id}/${topic}`, payload, { qos: 1, retain: true });
  }

  tell() {
    if (this.on) this.terminal.read(this.id, ["$state"], "ready");
    this.dispatchEvent(new CustomEvent("changed"));
  }
}

/** Only what is looked for is loaded; motion needs no model. */
async function load(look) {
  const models = look.includes("motion") ? { motion: new Change() } : {};
  if (!look.some((name) => name !== "motion")) return models;
  const { FaceDetector, HandLandmarker } = await import(`${BASE}/vision_bundle.mjs`);
  const wasm = { wasmLoaderPath: `${BASE}/vision_wasm_internal.js`, wasmBinaryPath: `${BASE}/vision_wasm_internal.wasm` };
  const options = (file) => ({ baseOptions: { modelAssetPath: `${BASE}/${file}`, delegate: "CPU" }, runningMode: "VIDEO" });
  if (look.includes("faces")) models.faces = await FaceDetector.createFromOptions(wasm, { ...options("face.tflite"), minDetectionConfidence: 0.5 });
  if (look.includes("hands")) models.hands = await HandLandmarker.createFromOptions(wasm, { ...options("hand.task"), numHands: 4 });
  return models;
}

/** What has changed from one frame to the next, whatever it is: the difference of two small grey pictures. */
class Change {
  constructor() {
    this.canvas = Object.assign(document.createElement("canvas"), { width: MOTION.width, height: MOTION.height });
    this.pen = this.canvas.getContext("2d", { willReadFrequently: true });
    this.before = null;
  }

  since(video) {
    const { width, height, step, least } = MOTION;
    this.pen.drawImage(video, 0, 0, width, height);
    const { data } = this.pen.getImageData(0, 0, width, height);
    const now = new Float32Array(width * height);
    let [changed, across, down] = [0, 0, 0];
    for (let at = 0; at < now.length; at++) {
      now[at] = 0.299 * data[4 * at] + 0.587 * data[4 * at + 1] + 0.114 * data[4 * at + 2];
      if (!this.before || Math.abs(now[at] - this.before[at]) <= step) continue;
      changed++;
      across += at % width;
      down += Math.floor(at / width);
    }
    this.before = now;
    const amount = changed / now.length;
    if (amount < least) return { amount: 0, middle: [] };
    return { amount: fraction(amount), middle: [fraction(across / changed / width), fraction(down / changed / height)] };
  }

  close() {
    this.before = null;
  }
}
