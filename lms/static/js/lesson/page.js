// The pupil's page in a lesson: follows the teacher's step, keeps work safe, says how it is connected.
import { call, setToken } from "./api.js";
import { Draft } from "./drafts.js";
import { Keep } from "./keep.js";
import { AttemptQueue } from "./queue.js";
import { setTexts, t } from "./texts.js";
import { Terminal } from "../terminal.js";

const POLL_MS = 3000;
const AGAIN_MS = 1500;
const SCRIPT_TRIES = 40; // a minute of bad Wi-Fi
const KINDS = ["reading", "quiz", "text", "camera", "robot"];
const json = (id) => JSON.parse(document.getElementById(id)?.textContent || "null");
const $ = (selector) => document.querySelector(selector);

/** The script of a kind of activity; what did not arrive is asked for again. */
async function script(kind, tries = SCRIPT_TRIES) {
  try {
    return await import(`../kinds/${kind}.js`);
  } catch (error) {
    if (tries <= 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    return script(kind, tries - 1);
  }
}

class LessonPage {
  constructor(state) {
    this.state = state;
    this.keep = new Keep(state.person, state.lesson);
    this.keep.forgetOthers();
    this.queue = new AttemptQueue(this.keep, state.lesson);
    this.terminal = new Terminal({ id: state.terminal, room: state.room, seat: state.seat, lesson: state.lesson, step: state.step });
    this.version = state.step_version;
    this.listen();
    this.mount(json("step-data"));
    this.showState();
    this.showOff();
    this.terminal.start();
    this.schedulePoll();
  }

  listen() {
    this.terminal.addEventListener("lamp", ({ detail }) => this.showLamp(detail));
    this.terminal.addEventListener("lesson", ({ detail }) => this.follow(detail ?? {}, true));
    this.terminal.addEventListener("reading", ({ detail }) => ["watched", "recording"].includes(detail.property) && this.showSign());
    this.queue.addEventListener("changed", () => this.showQueue());
    this.queue.addEventListener("trouble", () => this.showQueue(true));
    this.queue.addEventListener("signed-out", () => this.notice(t("signed-out"), true));
    $("#help")?.addEventListener("submit", (event) => {
      event.preventDefault();
      this.help(!this.state.help);
    });
    document.addEventListener("visibilitychange", () => this.activity?.pause?.());
  }

  // ---- following the teacher

  schedulePoll() {
    clearTimeout(this.poller);
    this.poller = setTimeout(() => this.poll(), POLL_MS);
  }

  /** Ask by HTTP while MQTT is not connected; the answer is also this terminal's sign of life. */
  async poll() {
    if (!this.terminal.online) {
      const secure = window.isSecureContext && location.protocol === "https:";
      try {
        const state = await call("POST", "/api/lesson/heartbeat", { step: this.state.step, visible: !document.hidden, secure }, { timeout: 5000 });
        this.reached = true;
        this.follow(state, false);
      } catch (error) {
        this.reached = false;
        if (error.status === 401) return this.thanks();
        if (error.body?.code === "no-lesson") return this.end();
      }
      this.showLamp(this.terminal.lamp);
    }
    this.schedulePoll();
  }

  /** A lesson state by MQTT or polling; what is older than what is shown is left aside. */
  follow(found, live) {
    if (found.lesson !== this.state.lesson) {
      if (live && !found.lesson) return; // the room's topic is cleared when the next class comes
      return found.lesson ? location.reload() : this.end();
    }
    if (found.rev < this.state.rev) return;
    const news = found.rev !== this.state.rev;
    const moved = found.step !== this.state.step || found.step_version !== this.version;
    Object.assign(this.state, found);
    this.showState();
    if (found.state === "ended") return this.end();
    if (moved) this.change();
    else if (news && live && found.state === "running") this.refreshAccess();
  }

  /** Groups or robots may have changed: ask once, not all terminals in the same moment. */
  refreshAccess() {
    clearTimeout(this.accessTimer);
    this.accessTimer = setTimeout(() => this.terminal.start(), 200 + Math.random() * 1500);
  }

  async change() {
    if (this.changing) return (this.changeAgain = true);
    this.changing = true;
    try {
      this.draft?.close();
      const found = await call("GET", "/api/lesson/step");
      setToken(found.token);
      Object.assign(this.state, found.state);
      if (found.state.state === "ended") return this.end();
      this.activity?.unmount?.();
      $("#step-place").innerHTML = found.html;
      this.version = found.state.step_version;
      this.mount(json("step-data"));
      this.terminal.set("step", String(this.state.step));
      window.scrollTo({ top: 0 });
      this.showState();
    } catch (error) {
      if (error.status === 401) return this.thanks();
      this.changeAgain = true;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    } finally {
      this.changing = false;
    }
    if (this.changeAgain) {
      this.changeAgain = false;
      this.change();
    }
  }

  // ---- the activity of the step

  async mount(data) {
    this.data = data;
    this.draft = null;
    this.activity = null;
    const form = $("#answer-form");
    if (!data?.activity || !form || !KINDS.includes(data.activity.kind)) return;
    const draft = new Draft(this.keep, this.state.lesson, data.activity.id, data.draft);
    this.draft = draft;
    const note = $("#draft-note");
    draft.addEventListener("saved", () => note && (note.textContent = t("draft-saved")));
    draft.addEventListener("trouble", () => note && (note.textContent = t("draft-local")));
    draft.addEventListener("conflict", ({ detail }) => this.conflict(draft, detail));
    const kind = await script(data.activity.kind);
    if (this.data !== data) return; // the teacher went on meanwhile
    this.activity = kind.mount(form, {
      activity: data.activity,
      page: data.activity.page,
      work: data.work,
      kits: data.kits ?? [],
      mates: data.mates ?? [],
      draft: same(draft.content, data.work?.answer) ? null : draft.content,
      terminal: this.terminal,
      lesson: this.state,
      saveDraft: (content) => {
        if (note) note.textContent = "";
        draft.save(content);
      },
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send(form);
    });
    form.dataset.ready = "1";
  }

  async send(form) {
    const answer = this.activity.answer();
    if (!answer) return;
    const { data, draft } = this;
    const button = form.querySelector(".btn-send");
    button.disabled = true;
    button.dataset.busy = "1";
    try {
      const reply = await this.queue.send(data.activity.id, answer);
      data.work = { ...reply, answer };
      this.reply(reply);
      this.activity?.replied?.(reply);
      draft?.settle();
      this.explain(data.activity.id);
    } catch (error) {
      this.notice(error.message, true);
      if (error.body?.where) this.activity?.wrong?.(error.body.where, error.message);
    } finally {
      button.disabled = false;
      delete button.dataset.busy;
    }
  }

  reply(reply) {
    const place = $("#reply");
    if (!place) return;
    place.hidden = false;
    place.replaceChildren(element("p", "reply-line", reply.feedback));
    place.classList.toggle("reply-good", reply.correct === true || (reply.correct === null && reply.done));
    if (reply.score !== null) place.firstChild.append(element("span", "reply-score", `${reply.score} / ${reply.max_score}`));
    place.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  /** The explanations as the server words them, once the answer is safe. */
  async explain(activity) {
    const found = await call("GET", `/api/lesson/work/${encodeURIComponent(activity)}`).catch(() => null);
    if (found && this.data?.activity?.id === activity && $("#reply")) {
      $("#reply").innerHTML = found.html;
      $("#reply").hidden = false;
    }
  }

  conflict(draft, { theirs, ours }) {
    const box = this.notice(t("draft-conflict"), true);
    const choose = (label, content) => {
      const button = element("button", "btn btn-sm", label);
      button.type = "button";
      button.addEventListener("click", () => {
        box.remove();
        draft.save(content);
        draft.push().then(() => this.change());
      });
      box.append(button);
    };
    choose(t("draft-theirs"), theirs);
    choose(t("draft-ours"), ours);
  }

  // ---- what the page says about itself

  showState() {
    const paused = this.state.state === "paused";
    $("#pause").hidden = !paused;
    $("#lesson-main").inert = paused;
    if (paused) this.activity?.pause?.();
    const help = $("#help button");
    if (help) {
      help.setAttribute("aria-pressed", String(this.state.help === true));
      help.querySelector(".help-text").textContent = this.state.help ? t("help-on") : t("help-off");
    }
    document.querySelectorAll("#dots li").forEach((dot, index) => {
      dot.classList.toggle("dot-past", index < this.state.step);
      dot.classList.toggle("dot-now", index === this.state.step);
      if (index === this.state.step) dot.setAttribute("aria-current", "step");
      else dot.removeAttribute("aria-current");
    });
  }

  showLamp(found) {
    const lamp = $("#lamp");
    const shown = found !== "online" && this.reached === false ? "retry" : found;
    lamp.dataset.lamp = shown;
    lamp.querySelector(".lamp-text").textContent = t(`lamp-${shown}`);
    lamp.title = t(`lamp-${shown}-long`);
  }

  /** Everybody in the room sees that somebody looks through a camera. */
  showSign() {
    const signs = [];
    for (const { id, title } of this.terminal.access?.cameras ?? []) {
      const values = this.terminal.readings.get(id) ?? {};
      for (const sign of ["recording", "watched"]) if (values[sign] === "true") signs.push(t(`eye-${sign}`, { name: title || id }));
    }
    const place = $("#camera-sign") ?? element("p", "camera-sign", "");
    if (!place.isConnected) {
      place.id = "camera-sign";
      place.setAttribute("role", "status");
      $("#notices").before(place);
    }
    place.hidden = signs.length === 0;
    place.textContent = signs.join("；");
  }

  showQueue(trouble = false) {
    const place = $("#queue");
    place.hidden = this.queue.size === 0;
    place.textContent = this.queue.size ? t(trouble ? "queue-waiting" : "queue-sending", { count: this.queue.size }) : "";
  }

  /** What plain http switches off, by name. */
  showOff() {
    if (window.isSecureContext) return;
    const place = $("#off");
    place.hidden = false;
    place.textContent = t("plain-http");
  }

  notice(text, bad = false) {
    const box = element("div", `notice ${bad ? "notice-bad" : ""}`, "");
    box.setAttribute("role", bad ? "alert" : "status");
    box.append(element("span", "", text));
    const close = element("button", "notice-close", "×");
    close.type = "button";
    close.setAttribute("aria-label", t("close"));
    close.addEventListener("click", () => box.remove());
    box.append(close);
    const place = $("#notices");
    place.replaceChildren(box);
    return box;
  }

  async help(on) {
    this.state.help = on;
    this.showState();
    try {
      await call("POST", "/api/lesson/help", { on });
      this.terminal.set("needs-help", String(on)); // who hears it asks the server, which must know by then
    } catch (error) {
      this.state.help = !on;
      this.showState();
      this.notice(error.status === 0 ? t("help-offline") : error.message, true);
    }
  }

  // ---- the end

  /** Send what waits, then say goodbye; the thank-you page signs out. */
  async end() {
    if (this.ending) return;
    this.ending = true;
    clearTimeout(this.poller);
    this.activity?.pause?.();
    this.activity?.unmount?.();
    this.draft?.close();
    $("#ending").hidden = false;
    $("#lesson-main").inert = true;
    const empty = await this.queue.drained(20000);
    this.terminal.stop();
    if (empty) this.keep.forgetPerson();
    this.thanks();
  }

  thanks() {
    location.assign("/lesson/thanks");
  }
}

const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);

function element(tag, classes, text) {
  const made = document.createElement(tag);
  made.className = classes;
  made.textContent = text;
  return made;
}

setTexts(json("texts"));
window.zhike = { page: new LessonPage(json("boot")) };
