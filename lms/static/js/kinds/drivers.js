// Two robots behind one seam: the virtual one on the page, the real one through wishes. handle(op, [a, b, c]) → number | null.
import { draw } from "./arena.js";

const TICK_MS = 20;
const WISH_MS = 200;
const WISH_LASTS_MS = 400;
const STOP_AFTER_MS = 80; // between two drives of a program the robot need not stop

export class VirtualDriver extends EventTarget {
  constructor(robot, canvas) {
    super();
    this.kind = "virtual";
    this.robot = robot;
    this.canvas = canvas;
    this.pace = 1;
    this.commands = 0;
    this.waits = [];
    this.last = performance.now();
    this.timer = setInterval(() => this.tick(), TICK_MS);
    this.resized = new ResizeObserver(() => draw(canvas, robot));
    this.resized.observe(canvas);
  }

  get caps() {
    return { linear: 0.5, angular: 4 };
  }

  tick() {
    const now = performance.now();
    let left = Math.min(0.25, (now - this.last) / 1000) * this.pace;
    this.last = now;
    if (!this.robot.moving && !this.waits.length) return;
    // Stop at the moment that a wait ends, so that the same program always drives the same way.
    while (left > 1e-9) {
      const next = Math.min(left, ...this.waits.map((wait) => wait.until - this.robot.seconds));
      this.robot.advance(Math.max(0, next));
      left -= Math.max(0, next);
      const due = this.waits.filter((wait) => wait.until <= this.robot.seconds + 1e-9);
      if (due.length) {
        this.waits = this.waits.filter((wait) => !due.includes(wait));
        due.forEach((wait) => wait.resolve());
        break; // the program goes on before more time passes
      }
    }
    draw(this.canvas, this.robot);
    this.dispatchEvent(new Event("moved"));
  }

  sleep(seconds) {
    if (seconds <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => this.waits.push({ until: this.robot.seconds + seconds, resolve, reject }));
  }

  hold(linear, angular) {
    this.commands += 1;
    this.robot.command(linear, angular);
  }

  release() {
    this.robot.command(0, 0);
    draw(this.canvas, this.robot);
    this.dispatchEvent(new Event("moved"));
  }

  async handle(op, [one, two, three]) {
    if (op === "drive") {
      this.hold(one, two);
      await this.sleep(three);
      this.robot.command(0, 0);
      return null;
    }
    if (op === "wait") await this.sleep(one);
    else if (op === "stop") this.release();
    else return this.robot.sensor(op);
    return null;
  }

  cancel() {
    this.release();
    const waits = this.waits;
    this.waits = [];
    waits.forEach((wait) => wait.reject(new Error("stopped")));
  }

  reset() {
    this.cancel();
    this.robot.reset();
    this.commands = 0;
    draw(this.canvas, this.robot);
    this.dispatchEvent(new Event("moved"));
  }

  judge() {
    return this.robot.judge();
  }

  telemetry() {
    return { ...this.robot.telemetry(), commands: this.commands };
  }

  close() {
    clearInterval(this.timer);
    this.resized.disconnect();
  }
}

export class RealDriver extends EventTarget {
  constructor(terminal, kit, goal) {
    super();
    this.kind = kit.id;
    this.terminal = terminal;
    this.kit = kit;
    this.goal = goal;
    this.waits = new Set();
    this.reset();
    this.heard = ({ detail }) => detail.device === kit.id && this.read(detail);
    terminal.addEventListener("reading", this.heard);
  }

  read({ property, value }) {
    if (property === "range" && Number.isFinite(Number(value))) this.nearest = Math.min(this.nearest ?? Infinity, Number(value));
    this.dispatchEvent(new Event("moved"));
  }

  get lease() {
    return this.terminal.leases.get(this.kit.id) ?? null;
  }

  /** Whether this seat holds the wheel now. */
  get mine() {
    return this.terminal.online && this.lease?.holder === this.terminal.id;
  }

  get caps() {
    return { linear: this.lease?.max_linear ?? 0.2, angular: this.lease?.max_angular ?? 1.5 };
  }

  hold(linear, angular) {
    const { caps } = this;
    this.wanted = [clamp(linear, caps.linear), clamp(angular, caps.angular)];
    clearTimeout(this.stopper);
    this.commands += 1;
    this.push();
    clearInterval(this.repeat);
    this.repeat = setInterval(() => this.push(), WISH_MS);
  }

  push() {
    if (!this.mine) return this.cancel();
    this.terminal.wish({ linear_x: this.wanted[0], angular_z: this.wanted[1], ms: WISH_LASTS_MS });
  }

  release() {
    clearInterval(this.repeat);
    clearTimeout(this.stopper);
    this.wanted = [0, 0];
    if (this.mine) this.terminal.wish({ stop: true });
  }

  identify() {
    this.terminal.wish({ identify: true });
  }

  sleep(seconds) {
    return new Promise((resolve, reject) => {
      const wait = { reject };
      wait.timer = setTimeout(() => {
        this.waits.delete(wait);
        resolve();
      }, seconds * 1000);
      this.waits.add(wait);
    });
  }

  async handle(op, [one, two, three]) {
    if (op === "drive") {
      if (!this.mine) throw new Error("not the driver");
      this.hold(one, two);
      // Turned slower than asked because of the cap: turn for longer, so that the angle stays.
      const slower = two && this.wanted[1] ? Math.abs(two / this.wanted[1]) : 1;
      this.seconds += three * slower;
      this.distance += Math.abs(this.wanted[0]) * 100 * three;
      await this.sleep(three * slower);
      clearInterval(this.repeat);
      this.stopper = setTimeout(() => this.release(), STOP_AFTER_MS);
      return null;
    }
    if (op === "wait") await this.sleep(one);
    else if (op === "stop") this.release();
    else return this.sensor(op);
    return null;
  }

  /** Newest value as the pupil's program sees it; light of 0–1023 becomes 0–100. */
  sensor(name) {
    const text = this.terminal.readings.get(this.kit.id)?.[name];
    if (text === undefined || !Number.isFinite(Number(text))) return null;
    const format = this.terminal.descriptions.get(this.kit.id)?.nodes?.main?.properties?.[name]?.format ?? "";
    const most = Number(format.split(":")[1]);
    return name === "light" && most > 100 ? Math.round((Number(text) * 100) / most) : Number(text);
  }

  cancel() {
    this.release();
    for (const wait of this.waits) {
      clearTimeout(wait.timer);
      wait.reject(new Error("stopped"));
    }
    this.waits.clear();
  }

  reset() {
    this.commands = this.seconds = this.distance = 0;
    this.nearest = null;
    this.wanted = [0, 0];
  }

  /** A real robot tells only what it senses: stop_before by its range; the other goals the group judges itself. */
  judge() {
    if (this.goal.type === "stop_before") {
      const range = this.sensor("range");
      return { reached: range !== null && range >= (this.goal.min_cm ?? 0) && range <= this.goal.max_cm, note: range === null ? "" : `${range} cm` };
    }
    return { reached: this.commands > 0, note: "" };
  }

  telemetry() {
    const found = { commands: this.commands, seconds: round(this.seconds), distance_cm: round(this.distance) };
    const range = this.sensor("range");
    if (range !== null) found.last_range_cm = range;
    if (Number.isFinite(this.nearest) && this.nearest !== null) found.min_range_cm = this.nearest;
    return found;
  }

  close() {
    this.cancel();
    this.terminal.removeEventListener("reading", this.heard);
  }
}

const clamp = (value, most) => Math.min(most, Math.max(-most, value));
const round = (value) => Math.round(value * 10) / 10;
