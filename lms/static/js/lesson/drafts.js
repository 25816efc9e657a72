// Unsent work of one activity: on this computer at once, on the server within five seconds.
import { call } from "./api.js";

const QUIET_MS = 1500;
const LATEST_MS = 4000;

export class Draft extends EventTarget {
  /** `server`: {version, content} or null. What this computer has and the server has not wins. */
  constructor(keep, lesson, activity, server) {
    super();
    this.keep = keep;
    this.lesson = lesson;
    this.activity = activity;
    this.name = `draft:${activity}`;
    this.version = server?.version ?? 0;
    this.content = server?.content ?? null;
    const local = keep.get(this.name);
    if (local?.dirty) {
      this.content = local.content;
      this.version = local.version;
      this.later();
    }
  }

  save(content) {
    this.content = content;
    this.dirty = true;
    this.keep.set(this.name, { content, version: this.version, dirty: true });
    this.later();
  }

  later() {
    this.dirty = true;
    this.since ??= Date.now();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.push(), Math.max(0, Math.min(QUIET_MS, this.since + LATEST_MS - Date.now())));
  }

  /** Send what is not sent; also called before the page changes its step. */
  async push() {
    clearTimeout(this.timer);
    if (!this.dirty || this.pushing) return;
    const content = this.content;
    this.since = null;
    this.pushing = true;
    try {
      const reply = await call("PUT", `/api/drafts/${encodeURIComponent(this.activity)}`, { content, version: this.version, lesson: this.lesson });
      this.version = reply.version;
      this.dirty = this.content !== content;
      this.keep.set(this.name, { content: this.content, version: this.version, dirty: this.dirty });
      this.dispatchEvent(new CustomEvent("saved"));
    } catch (error) {
      if (error.body?.code === "draft-conflict") {
        this.version = error.body.version;
        this.dispatchEvent(new CustomEvent("conflict", { detail: { theirs: error.body.content, ours: content } }));
      } else if (error.passing) {
        this.dispatchEvent(new CustomEvent("trouble"));
      } else {
        this.dirty = false; // the server does not want it: too long, lesson over; it stays on this computer
        this.dispatchEvent(new CustomEvent("refused", { detail: error }));
      }
    }
    this.pushing = false;
    if (this.dirty) this.later();
  }

  /** The answer was sent: nothing is unsent any more, the text stays for another try. */
  settle() {
    this.keep.remove(this.name);
    return this.push();
  }

  close() {
    clearTimeout(this.timer);
    return this.push();
  }
}
