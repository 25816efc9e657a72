// A pupil's red button: stops the group's robot, whoever drives it. Straight to the broker; by the web where there is no broker.
// Says when the robot itself has proved that it stands, and asks to lift it when it has not.
import { call } from "../lesson/api.js";
import { uuid } from "../lesson/queue.js";
import { t } from "../lesson/texts.js";

const PROOF_MS = 1800; // a gateway gives up after 1.6 s
const ASK_MS = 600;
const ASK_FOR_MS = 15000;

export class RobotStop {
  constructor(box, terminal, kit) {
    Object.assign(this, { box, terminal, kit, pressed: null });
    this.said = box.querySelector(".stop-said");
    this.listeners = new AbortController();
    const heard = (name, does) => terminal.addEventListener(name, does, { signal: this.listeners.signal });
    heard("reading", ({ detail }) => this.read(detail));
    heard("stopped", ({ detail }) => this.report(detail));
  }

  /** Stop now; may be pressed again at any time. */
  press() {
    const id = uuid();
    const direct = this.terminal.wish({ stop: true, device: this.kit.id });
    this.pressed = { id, direct, at: performance.now(), settled: false };
    this.show("busy", t("stop-sending"));
    if (!direct) this.byWeb(id);
    setTimeout(() => this.late(id), PROOF_MS);
  }

  async byWeb(id) {
    try {
      await call("POST", "/api/lesson/stop", { id });
      this.ask(id);
    } catch {
      if (this.current(id) && !this.pressed.direct) this.show("bad", t("stop-not-sent"));
    }
  }

  async ask(id) {
    if (!this.current(id) || performance.now() - this.pressed.at > ASK_FOR_MS) return;
    const found = await call("GET", `/api/lesson/stop/${id}`).catch(() => null);
    if (found?.reported) this.report(found);
    if (this.current(id)) setTimeout(() => this.ask(id), ASK_MS);
  }

  current(id) {
    return this.pressed?.id === id && !this.pressed.settled;
  }

  /** Only what the robot says after the press counts: `stop-confirmed` of its gateway, or that it no longer moves. */
  read({ device, property, value }) {
    if (device !== this.kit.id || !this.pressed || this.pressed.settled || !this.pressed.direct) return;
    if ((property === "stop-confirmed" && value === "true") || (property === "moving" && value === "false")) this.stands();
  }

  report(facts) {
    if (!facts || !this.pressed || this.pressed.settled) return;
    if (facts.confirmed?.includes(this.kit.id)) this.stands();
    else if (facts.id === this.pressed.id && facts.unconfirmed?.some((one) => one.device === this.kit.id)) this.lift();
  }

  late(id) {
    if (!this.current(id)) return;
    if (this.pressed.direct) this.byWeb(id); // a second way, while somebody lifts the robot
    this.lift();
  }

  stands() {
    this.pressed.settled = true;
    this.show("good", t("stop-stands", { n: this.kit.sticker || this.kit.title }));
  }

  lift() {
    this.show("bad", t("stop-lift", { n: this.kit.sticker || this.kit.title }));
  }

  show(kind, text) {
    this.said.dataset.kind = kind;
    this.said.textContent = text;
  }

  close() {
    this.listeners.abort();
    this.pressed = null;
    this.show("", "");
  }
}
