// Answers on their way: each keeps the id it was born with until the server has acknowledged it.
import { call } from "./api.js";

const WAITS_MS = [500, 1000, 2000, 4000, 8000];

/** A version 4 UUID; crypto.randomUUID is missing over plain http. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export class AttemptQueue extends EventTarget {
  constructor(keep, lesson) {
    super();
    this.keep = keep;
    this.lesson = lesson;
    this.waiting = new Map(); // id → {id, activity, lesson, answer, settle[], key}
    this.running = null;
    for (const { key, lesson: from, value } of keep.ofPerson("attempt")) {
      if (value?.id) this.waiting.set(value.id, { ...value, lesson: from, key, settle: [] });
    }
    window.addEventListener("online", () => this.hurry());
    this.hurry();
  }

  get size() {
    return this.waiting.size;
  }

  /** Resolves with the server's reply; rejects with ApiError where the server refuses the answer for good. */
  send(activity, answer) {
    const entry = { id: uuid(), activity, lesson: this.lesson, answer, key: null, settle: [] };
    this.keep.set(`attempt:${entry.id}`, { id: entry.id, activity, answer });
    entry.key = `${this.keep.base}attempt:${entry.id}`;
    this.waiting.set(entry.id, entry);
    this.changed();
    return new Promise((resolve, reject) => {
      entry.settle.push({ resolve, reject });
      this.hurry();
    });
  }

  /** Resolves once nothing waits, or after `ms`. */
  async drained(ms) {
    const until = Date.now() + ms;
    while (this.size && Date.now() < until) {
      this.hurry();
      await Promise.race([this.running, pause(Math.min(1000, until - Date.now()))]);
    }
    return this.size === 0;
  }

  hurry() {
    this.wake?.();
    this.running ??= this.run().finally(() => {
      this.running = null;
    });
  }

  async run() {
    let failures = 0;
    while (this.waiting.size) {
      const entry = this.waiting.values().next().value;
      try {
        const { id, activity, lesson, answer } = entry;
        const reply = await call("POST", "/api/attempts", { id, activity, lesson, answer });
        this.leave(entry);
        entry.settle.forEach(({ resolve }) => resolve(reply));
        failures = 0;
      } catch (error) {
        if (error.status === 401 || error.status === 400) { // signed out: the answer waits for its pupil
          this.dispatchEvent(new CustomEvent("signed-out"));
          return;
        }
        if (!error.passing) {
          this.leave(entry);
          entry.settle.forEach(({ reject }) => reject(error));
          continue;
        }
        const wait = WAITS_MS[Math.min(failures++, WAITS_MS.length - 1)];
        this.dispatchEvent(new CustomEvent("trouble", { detail: { failures } }));
        await Promise.race([pause(wait), new Promise((resolve) => (this.wake = resolve))]);
      }
    }
  }

  leave(entry) {
    this.waiting.delete(entry.id);
    localStorage.removeItem(entry.key);
    this.changed();
  }

  changed() {
    this.dispatchEvent(new CustomEvent("changed", { detail: { size: this.size } }));
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
