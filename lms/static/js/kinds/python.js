// The page's side of the pupil's Python: starts the worker, answers what the program asks, stops it for certain.

const STOP_MS = 800; // an interrupted program that has not ended by then is terminated

/** Events: ready, out, say, done, failed; `blocking` says whether programs may simply wait. */
export class PythonRunner extends EventTarget {
  /** `robot.handle(op, args) → Promise<number|null>`; a rejected promise ends the program. */
  constructor(robot, media) {
    super();
    this.robot = robot;
    this.media = media;
    this.blocking = typeof SharedArrayBuffer === "function" && self.crossOriginIsolated === true;
    this.boot();
  }

  boot() {
    this.ready = false;
    this.worker = new Worker("/static/js/kinds/python-worker.js", { type: "module" });
    const message = { type: "start", media: new URL(this.media, location.href).href };
    if (this.blocking) {
      this.shared = message.shared = new SharedArrayBuffer(16);
      this.control = new Int32Array(this.shared, 0, 2);
      this.numbers = new Float64Array(this.shared, 8, 1);
      this.interruptBuffer = message.interrupt = new SharedArrayBuffer(1);
      this.interrupt = new Uint8Array(this.interruptBuffer);
    }
    const worker = this.worker;
    worker.onmessage = ({ data }) => worker === this.worker && this.hear(data);
    worker.onerror = (event) => worker === this.worker && this.tell("failed", event.message || "worker");
    worker.postMessage(message);
  }

  hear(data) {
    if (data.type === "ready") {
      this.ready = true;
      this.tell("ready");
      if (this.pending) this.begin(...this.pending);
    } else if (data.type === "call") this.answer(data);
    else if (data.type === "done") this.finish(data.result);
    else this.tell(data.type, data.text);
  }

  run(program, checks) {
    this.running = true;
    this.stopping = false;
    if (this.ready) this.begin(program, checks);
    else this.pending = [program, checks];
  }

  begin(program, checks) {
    this.pending = null;
    if (this.blocking) {
      Atomics.store(this.control, 1, 0);
      this.interrupt[0] = 0;
    }
    this.worker.postMessage({ type: "run", program, checks });
  }

  async answer({ op, args }) {
    const worker = this.worker;
    let ok = true;
    let value = null;
    try {
      value = this.stopping ? null : await this.robot.handle(op, args);
    } catch {
      ok = false;
    }
    if (worker !== this.worker) return; // terminated meanwhile
    ok = ok && !this.stopping;
    if (this.blocking) {
      this.numbers[0] = value ?? NaN;
      Atomics.store(this.control, 0, ok ? 1 : 2);
      Atomics.notify(this.control, 0);
    } else worker.postMessage({ type: "answer", ok, value });
  }

  /** End the program now; whatever it does. */
  stop() {
    if (!this.running || this.stopping) return;
    this.stopping = true;
    if (this.pending) {
      this.pending = null;
      return this.finish(stopped());
    }
    if (this.blocking) {
      this.interrupt[0] = 2;
      Atomics.store(this.control, 1, 2);
      Atomics.store(this.control, 0, 2);
      Atomics.notify(this.control, 0);
    }
    this.robot.cancel();
    this.timer = setTimeout(() => {
      this.worker.terminate();
      this.boot();
      this.finish(stopped());
    }, STOP_MS);
  }

  finish(result) {
    clearTimeout(this.timer);
    this.running = this.stopping = false;
    this.tell("done", result);
  }

  close() {
    clearTimeout(this.timer);
    this.worker.terminate();
    this.worker = null;
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const stopped = () => ({ error: { key: "py-stopped", values: {}, line: 0, raw: "" }, checks: [] });
