// Robot mission: drive by hand or by program; the group's robot or the virtual one. Only who holds the wheel drives.
import { call } from "../lesson/api.js";
import { t } from "../lesson/texts.js";
import { VirtualRobot } from "./arena.js";
import { RealDriver, VirtualDriver } from "./drivers.js";
import { PythonRunner } from "./python.js";
import { RobotStop } from "./stop.js";
import { TableView } from "../labs/table.js";

const KEYS = { ArrowUp: "forward", ArrowDown: "backward", ArrowLeft: "left", ArrowRight: "right" };
const SENSORS = ["range", "line", "light", "battery"];
const HAND = { linear: 0.2, angular: 1.5 };

export function mount(form, context) {
  return new Mission(form, context);
}

class Mission {
  constructor(form, { page, kits, mates, draft, work, terminal, saveDraft }) {
    Object.assign(this, { form, page, terminal, saveDraft, mates });
    this.find = (selector) => form.querySelector(selector);
    this.kit = kits.find((kit) => kit.kind === "robot");
    this.before = draft ?? work?.answer ?? {};
    this.results = { verdicts: {}, goal: null, error: "", output: "" };
    this.listeners = new AbortController();
    this.mode = page.mode === "both" ? this.before.mode || "python" : page.mode;
    this.setReport();
    if (page.robot !== "none") this.setRobots();
    if (page.mode !== "python") this.setHand();
    if (page.mode !== "buttons") this.setProgram();
    this.setMode(this.mode);
    this.on(terminal, "lease", () => this.showWheel());
    this.on(terminal, "lamp", () => this.showWheel());
    this.on(terminal, "reading", ({ detail }) => detail.device === this.kit?.id && this.showSensors());
    this.on(terminal, "stopped", ({ detail }) => this.concerns(detail) && this.pause());
    this.on(terminal, "table", () => this.showTable());
    this.on(terminal, "access", ({ detail }) => this.setAccess(detail));
    form.querySelectorAll("[data-mode-tab]").forEach((tab) => this.on(tab, "click", () => this.setMode(tab.dataset.modeTab)));
    this.on(window, "blur", () => this.hand && this.letGo());
    this.on(window, "keydown", (event) => event.key === "Escape" && !event.isComposing && this.stopper && this.stopRobot());
    this.showWheel();
  }

  on(target, name, heard) {
    target.addEventListener(name, heard, { signal: this.listeners.signal });
  }

  // ---- which robot

  setRobots() {
    const canvas = this.find("canvas");
    this.virtual = new VirtualDriver(new VirtualRobot(this.page.arena, this.page.goal), canvas);
    this.driver = this.virtual;
    this.on(this.virtual, "moved", () => this.moved());
    this.on(this.find(".robot-reset"), "click", () => this.reset());
    this.on(this.find(".robot-pace"), "click", () => this.setPace(this.virtual.pace === 1 ? 4 : 1));
    form_choices(this.form).forEach((button) => this.on(button, "click", () => this.choose(button.dataset.robot)));
    this.setReal();
    this.choose(this.real && this.page.robot !== "virtual" && this.before.robot !== "virtual" ? "real" : "virtual");
  }

  setReal() {
    this.real?.close();
    this.real = this.kit && this.kit.drives !== false && this.page.robot !== "virtual" ? new RealDriver(this.terminal, this.kit, this.page.goal) : null;
    this.setStop();
    if (this.real) this.on(this.real, "moved", () => this.driver === this.real && this.moved());
    const choices = this.find(".robot-choices");
    if (choices) choices.hidden = !this.real || this.page.robot === "virtual";
  }

  // ---- the red button, and the simulated table

  setStop() {
    this.stopper?.close();
    this.view?.close();
    this.view = null;
    const box = this.find(".robot-stop");
    box.hidden = !this.real;
    this.stopper = this.real ? new RobotStop(box, this.terminal, this.kit) : null;
    if (!this.stopWired) this.on(box.querySelector("button"), "click", () => this.stopRobot());
    this.stopWired = true;
    this.showTable();
  }

  stopRobot() {
    this.stopper.press();
    this.pause();
  }

  /** A stop that names other robots only is theirs; one that names none is everybody's. */
  concerns(report) {
    const named = [...(report?.confirmed ?? []), ...(report?.unconfirmed ?? []).map((one) => one.device)];
    return !named.length || !this.kit || named.includes(this.kit.id);
  }

  /** The group's robot on the simulated table, seen from above; a real robot keeps its picture. */
  showTable() {
    const { layout, poses } = this.terminal.table;
    const pose = this.real && poses.get(this.kit.id);
    const canvas = this.find(".table-view");
    if (!canvas) return;
    canvas.hidden = !(layout && pose);
    this.find(".real-icon").hidden = !canvas.hidden;
    if (canvas.hidden) return;
    this.view ??= new TableView(canvas);
    if (this.view.layout?.size !== layout.size) {
      canvas.style.aspectRatio = `${layout.size[0]} / ${layout.size[1]}`;
      this.view.setLayout(layout);
    }
    const range = this.real.sensor("range");
    const moving = this.terminal.readings.get(this.kit.id)?.moving === "true";
    this.view.describe(this.kit.id, { number: this.kit.sticker || "", range, moving });
    this.view.place(this.kit.id, pose);
  }

  setAccess(access) {
    this.mates = access.mates ?? this.mates;
    const kit = access.robots?.[0];
    if (this.page.robot !== "none" && kit?.id !== this.kit?.id) {
      this.kit = kit;
      this.pause();
      this.setReal();
      this.choose(this.real && this.page.robot !== "virtual" ? "real" : "virtual");
    }
    this.showWheel();
  }

  choose(name) {
    this.pause();
    this.driver = name === "real" && this.real ? this.real : this.virtual;
    form_choices(this.form).forEach((button) => button.setAttribute("aria-pressed", String((button.dataset.robot === "real") === (this.driver === this.real))));
    this.find(".arena-box").hidden = this.driver !== this.virtual;
    this.find(".real-box").hidden = this.driver === this.virtual;
    this.showWheel();
    this.showSensors();
  }

  setPace(pace) {
    this.virtual.pace = pace;
    const button = this.find(".robot-pace");
    button.textContent = t(pace === 1 ? "pace-fast" : "pace-normal");
    button.setAttribute("aria-pressed", String(pace !== 1));
  }

  reset() {
    this.runner?.stop();
    this.virtual.reset();
    this.results.goal = null;
    this.showGoal();
  }

  moved() {
    this.showSensors();
    if (!this.runner?.running) this.judge();
  }

  judge() {
    if (!this.driver || this.page.goal.type === "free") return;
    const found = this.driver.judge();
    const done = this.page.goal.type === "stop_before" ? found.reached : found.reached || this.results.goal?.reached === true;
    this.results.goal = { reached: done, note: found.note };
    this.showGoal();
  }

  showGoal() {
    const place = this.find(".goal");
    if (!place || this.page.goal.type === "free") return;
    const goal = this.results.goal;
    place.dataset.reached = goal ? String(goal.reached) : "";
    const { min_cm: least, max_cm: most } = this.page.goal;
    place.textContent = `${t(`goal-${this.page.goal.type}`, { least, most })}${goal ? ` · ${goal.note.replace("cm", t("cm"))} ${goal.reached ? "✓" : ""}` : ""}`;
  }

  showSensors() {
    const place = this.find(".sensors");
    if (!place || !this.driver) return;
    const read = (name) => (this.driver === this.virtual ? this.virtual.robot.sensor(name) : this.real.sensor(name));
    const shown = SENSORS.filter((name) => this.page.needs.includes(name) || (this.driver === this.real && read(name) !== null));
    place.replaceChildren(
      ...shown.map((name) => {
        const item = document.createElement("span");
        item.className = "sensor";
        item.textContent = `${t(`sensor-${name}`)} ${read(name) ?? "—"}`;
        return item;
      }),
    );
  }

  // ---- who drives

  get mayDrive() {
    return !this.driver || this.driver !== this.real || this.real.mine;
  }

  showWheel() {
    const place = this.find(".wheel");
    if (!place) return;
    const real = this.driver === this.real && this.real;
    const still = this.kit?.drives === false; // an arm: nothing here can move it
    place.hidden = !real && !still;
    if (still) place.querySelector(".wheel-line").textContent = t("wheel-still");
    const off = Boolean(real && !real.mine);
    this.form.querySelectorAll(".drive-pad button:not(.drive-stop)").forEach((button) => (button.disabled = off));
    if (this.runner) this.showRun(this.runState);
    if (!real) return;
    if (off) this.letGo();
    const line = place.querySelector(".wheel-line");
    const lease = real.lease;
    const seat = this.seatOf(lease?.holder);
    if (!this.terminal.online) line.textContent = t("wheel-offline");
    else if (!lease) line.textContent = t("wheel-none");
    else if (real.mine) line.textContent = t("wheel-mine");
    else line.textContent = seat ? t("wheel-other", { seat }) : t("wheel-nobody");
    place.dataset.mine = String(Boolean(real.mine));
    this.showHandOver(place.querySelector(".wheel-pass"), real);
  }

  seatOf(terminal) {
    if (!terminal) return "";
    return this.mates.find((mate) => mate.terminal === terminal)?.seat ?? terminal.split("-").pop().toUpperCase();
  }

  showHandOver(place, real) {
    const free = real.lease && !this.mates.some((mate) => mate.terminal === real.lease.holder);
    const others = this.mates.filter((mate) => (real.mine ? mate.terminal !== this.terminal.id : free && mate.terminal === this.terminal.id));
    const buttons = others.map((mate) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm" });
      button.textContent = real.mine ? t("wheel-give", { seat: mate.seat }) : t("wheel-take");
      button.addEventListener("click", () => this.pass(mate));
      return button;
    });
    place.replaceChildren(...buttons);
  }

  async pass(mate) {
    this.pause();
    try {
      await call("POST", "/api/lesson/wheel", { person: mate.person });
    } catch (error) {
      this.find(".wheel-line").textContent = error.message;
    }
  }

  // ---- by hand

  setHand() {
    this.hand = null;
    this.form.querySelectorAll("[data-move]").forEach((button) => {
      this.on(button, "pointerdown", (event) => {
        button.setPointerCapture?.(event.pointerId);
        this.grip(button.dataset.move);
      });
      for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) this.on(button, name, () => this.letGo());
      this.on(button, "contextmenu", (event) => event.preventDefault());
      this.on(button, "keydown", (event) => [" ", "Enter"].includes(event.key) && !event.repeat && this.grip(button.dataset.move));
      this.on(button, "keyup", () => this.letGo());
    });
    this.on(window, "keydown", (event) => {
      if (!KEYS[event.key] || this.mode !== "buttons" || event.target.closest("input, textarea, .cm-editor")) return;
      event.preventDefault();
      if (!event.repeat) this.grip(KEYS[event.key]);
    });
    this.on(window, "keyup", (event) => KEYS[event.key] && this.letGo());
  }

  grip(move) {
    if (!this.driver || !this.mayDrive || this.form.closest("[inert]")) return;
    const { linear, angular } = this.driver.caps;
    const speed = Math.min(HAND.linear, linear);
    const turn = Math.min(HAND.angular, angular);
    const wanted = { forward: [speed, 0], backward: [-speed, 0], left: [0, turn], right: [0, -turn] }[move];
    this.hand = move;
    this.driver.hold(...wanted);
    this.form.querySelectorAll("[data-move]").forEach((button) => button.classList.toggle("held", button.dataset.move === move));
  }

  letGo() {
    if (!this.hand) return;
    this.hand = null;
    this.driver.release();
    this.form.querySelectorAll("[data-move]").forEach((button) => button.classList.remove("held"));
    this.judge();
    this.keepDraft();
  }

  // ---- by program

  async setProgram() {
    const { EditorView, EditorState, basicSetup, python, keymap, indentWithTab, indentUnit } = await import("/static/vendor/codemirror/codemirror.js");
    if (this.closed) return;
    const changed = EditorView.updateListener.of((update) => {
      if (!update.docChanged) return;
      this.markLine(0);
      this.keepDraft();
    });
    const labels = EditorView.contentAttributes.of({ "aria-label": t("editor") });
    this.editor = new EditorView({
      parent: this.find(".editor"),
      state: EditorState.create({
        doc: this.before.program || this.page.starter,
        extensions: [basicSetup, python(), EditorView.lineWrapping, keymap.of([indentWithTab]), EditorState.tabSize.of(4), indentUnit.of("    "), changed, labels],
      }),
    });
    this.on(this.find(".run"), "click", () => this.run());
    this.on(this.find(".restore"), "click", () => this.restore());
    this.startPython();
  }

  startPython() {
    const robot = { handle: (op, args) => this.handle(op, args), cancel: () => this.driver?.cancel() };
    this.runner = new PythonRunner(robot, this.page.media);
    this.showRun("loading");
    this.on(this.runner, "ready", () => this.showRun(this.runner.running ? "running" : "idle"));
    this.on(this.runner, "failed", () => this.showRun("failed"));
    this.on(this.runner, "out", ({ detail }) => this.print(detail));
    this.on(this.runner, "say", ({ detail }) => this.say(detail));
    this.on(this.runner, "done", ({ detail }) => this.done(detail));
    if (!this.runner.blocking) this.find(".python-mode").textContent = t("python-awaiting");
  }

  handle(op, args) {
    if (this.driver) return this.driver.handle(op, args);
    if (op === "wait") return new Promise((resolve) => setTimeout(() => resolve(null), args[0] * 1000));
    return Promise.resolve(null);
  }

  /** The program in the editor. */
  get program() {
    return this.editor ? this.editor.state.doc.toString() : (this.before.program ?? "");
  }

  set program(text) {
    this.editor.dispatch({ changes: { from: 0, to: this.editor.state.doc.length, insert: text } });
  }

  restore() {
    if (window.confirm(t("restore-sure"))) this.program = this.page.starter;
  }

  run() {
    if (!this.mayDrive || this.runner.running) return;
    if (this.driver === this.virtual && this.virtual) this.virtual.reset();
    this.real?.reset();
    this.find(".console").replaceChildren();
    this.find(".bubble").hidden = true;
    this.markLine(0);
    this.results = { verdicts: {}, goal: null, error: "", output: "" };
    this.showChecks();
    this.runner.run(this.program, this.page.checks);
    this.showRun(this.runner.ready ? "running" : "loading");
  }

  print(text) {
    const place = this.find(".console");
    this.results.output = (this.results.output + text).slice(0, 8000);
    place.append(text);
    place.scrollTop = place.scrollHeight;
  }

  say(text) {
    this.print(`» ${text}\n`);
    const bubble = this.find(".bubble");
    bubble.textContent = text;
    bubble.hidden = false;
  }

  done({ error, checks }) {
    this.driver?.release();
    this.judge();
    for (const { name, passed } of checks) this.results.verdicts[name] = passed;
    if (error) {
      const words = t(error.key, error.values);
      this.results.error = error.key === "py-stopped" ? "" : `${error.line}: ${error.raw || words}`.slice(0, 300);
      const line = document.createElement("div");
      line.className = error.key === "py-stopped" ? "stopped-line" : "error-line";
      line.textContent = error.line ? `${t("py-line", { line: error.line })}${words}` : words;
      this.find(".console").append(line);
      if (error.raw) this.find(".console").append(Object.assign(document.createElement("div"), { className: "raw-line", textContent: error.raw }));
      this.markLine(error.line);
    }
    this.find(".console").scrollTop = this.find(".console").scrollHeight;
    this.ran = true;
    this.showChecks();
    this.showRun("idle");
    this.keepDraft();
  }

  /** Put the cursor on the line that went wrong and colour it until the next change; 0 clears. */
  markLine(line) {
    if (!this.editor) return;
    this.find(".editor").classList.toggle("has-error", line > 0); // the editor keeps its own classes
    if (line < 1) return;
    const place = this.editor.state.doc.line(Math.min(line, this.editor.state.doc.lines));
    this.editor.dispatch({ selection: { anchor: place.to }, scrollIntoView: true });
    this.editor.focus();
  }

  showRun(state) {
    this.runState = state;
    const button = this.find(".run");
    button.dataset.state = state;
    button.querySelector(".run-text").textContent = t(`run-${state}`);
    button.disabled = state !== "idle" || !this.mayDrive;
    this.find(".run-stop").disabled = !(state === "running" || this.runner?.running);
  }

  showChecks() {
    const place = this.find(".checks");
    if (!place) return;
    place.replaceChildren(
      ...this.page.checks.map(({ name }) => {
        const item = document.createElement("li");
        const passed = this.results.verdicts[name];
        item.dataset.passed = passed === undefined ? "" : String(passed);
        item.textContent = name;
        return item;
      }),
    );
  }

  // ---- common

  setMode(mode) {
    this.mode = mode;
    this.form.querySelectorAll("[data-mode-tab]").forEach((tab) => tab.setAttribute("aria-selected", String(tab.dataset.modeTab === mode)));
    this.form.querySelectorAll("[data-mode]").forEach((part) => (part.hidden = part.dataset.mode !== mode));
    this.showChecks();
    this.showGoal();
  }

  setReport() {
    const report = this.find('[name="report"]');
    if (report) {
      report.value = this.before.report ?? "";
      this.on(report, "input", () => this.keepDraft());
    }
    this.form.querySelectorAll(".drive-stop, .run-stop").forEach((button) => this.on(button, "click", () => this.pause()));
  }

  keepDraft() {
    this.saveDraft({ mode: this.mode, program: this.program, report: this.find('[name="report"]')?.value ?? "", robot: this.driver?.kind ?? "none" });
  }

  answer() {
    const { verdicts, goal, error, output } = this.results;
    return {
      mode: this.mode,
      robot: this.driver?.kind ?? "none",
      program: this.mode === "python" ? this.program : "",
      output,
      error,
      report: this.find('[name="report"]')?.value ?? "",
      checks: this.page.checks.map(({ name }) => ({ name, passed: verdicts[name] === true })),
      goal: goal && this.page.goal.type !== "free" ? goal : {},
      telemetry: this.driver ? this.driver.telemetry() : {},
    };
  }

  /** Everything stands still: pause overlay, stop button, another tab, the teacher's stop. */
  pause() {
    this.letGo();
    this.runner?.stop();
    this.driver?.cancel();
  }

  unmount() {
    this.closed = true;
    this.pause();
    this.listeners.abort();
    this.runner?.close();
    this.virtual?.close();
    this.real?.close();
    this.stopper?.close();
    this.view?.close();
    this.editor?.destroy();
  }
}

const form_choices = (form) => [...form.querySelectorAll("[data-robot]")];
