// Camera experiment: predict, take the count, say what happened. The page gets numbers from the camera, never a picture.
import { call } from "../lesson/api.js";
import { t } from "../lesson/texts.js";
import { ownCamera } from "./own_camera.js";

export function mount(form, { activity, page, kits, draft, work, terminal, saveDraft }) {
  const room = kits.find((kit) => kit.kind === "camera");
  let camera = room;
  const table = form.querySelector("tbody");
  const conclusion = form.querySelector('[name="conclusion"]');
  const status = form.querySelector(".camera-status");
  const before = draft ?? work?.answer;
  const trials = Array.from({ length: page.trials }, (_, index) => ({ predicted: null, observed: null, source: null, note: "", ...clean(before?.trials?.[index]) }));
  let source = "recorded";
  if (before?.conclusion && conclusion) conclusion.value = before.conclusion;

  const answer = () => ({
    trials: trials
      .filter((trial) => trial.predicted !== null && trial.observed !== null)
      .map(({ predicted, observed, source: from, recorded, note }) => ({ predicted, observed, source: from, note, ...(from === "recorded" ? { recorded } : {}) })),
    conclusion: conclusion?.value ?? "",
  });
  const keepDraft = () => saveDraft({ trials, conclusion: conclusion?.value ?? "" });

  const live = () => {
    const here = camera !== undefined && camera !== room; // this computer's own camera needs no broker
    const values = camera && (here || terminal.online) ? terminal.readings.get(camera.id) : null;
    return values && values.$state === "ready" && values.stale !== "true" && values[page.signal] !== undefined ? Number(values[page.signal]) : null;
  };

  const choose = () => {
    source = live() !== null ? "live" : page.recorded.length ? "recorded" : "none";
    status.dataset.source = source;
    status.textContent = t(source === "live" && camera !== room ? "camera-here" : `camera-${source}`, { name: camera?.title || camera?.id || "" });
    form.querySelectorAll(".take").forEach((button) => {
      const index = Number(button.dataset.index);
      button.disabled = trials[index].predicted === null || source === "none" || (source === "recorded" && index >= page.recorded.length);
    });
    form.querySelectorAll(".situation").forEach((cell) => {
      const row = page.recorded[Number(cell.dataset.index)];
      const used = trials[Number(cell.dataset.index)].source ?? source;
      cell.textContent = used === "recorded" && row ? row.label : t("camera-own");
    });
  };

  const take = async (index) => {
    const trial = trials[index];
    const count = live();
    if (count !== null) Object.assign(trial, { observed: count, source: "live" });
    else {
      const query = new URLSearchParams({ activity: activity.id, recorded: index });
      const found = await call("GET", `/api/lesson/observe?${query}`).catch(() => null);
      if (!found) return (status.textContent = t("camera-failed"));
      Object.assign(trial, { observed: found.observed, source: "recorded", recorded: index });
    }
    keepDraft();
    draw();
    table.rows[index].querySelector(".note").focus();
  };

  const draw = () => {
    table.replaceChildren(...trials.map((trial, index) => row(trial, index)));
    choose();
  };

  const row = (trial, index) => {
    const line = document.createElement("tr");
    const seen = trial.observed !== null;
    line.append(cell(String(index + 1)), Object.assign(cell(""), { className: "situation" }));
    line.lastChild.dataset.index = index;
    const predicted = input("number", t("camera-predicted", { trial: index + 1 }), trial.predicted ?? "");
    Object.assign(predicted, { min: 0, max: 100, disabled: seen, className: "form-control predicted" });
    predicted.addEventListener("input", () => {
      trial.predicted = predicted.value === "" ? null : Math.max(0, Math.min(100, Math.round(Number(predicted.value))));
      keepDraft();
      choose();
    });
    const observed = document.createElement("td");
    if (seen) {
      const hit = trial.predicted === trial.observed;
      observed.append(Object.assign(document.createElement("strong"), { className: "observed", textContent: trial.observed }));
      observed.append(Object.assign(document.createElement("span"), { className: hit ? "hit" : "miss", textContent: hit ? t("camera-hit") : t("camera-miss") }));
    } else {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-primary take", textContent: t("camera-take") });
      button.dataset.index = index;
      button.addEventListener("click", () => take(index));
      observed.append(button);
    }
    const note = input("text", t("camera-note", { trial: index + 1 }), trial.note);
    Object.assign(note, { maxLength: 300, className: "form-control note", placeholder: seen ? t("camera-why") : "", disabled: !seen });
    note.addEventListener("input", () => {
      trial.note = note.value;
      keepDraft();
    });
    line.append(wrap(predicted), observed, wrap(note));
    return line;
  };

  const own = ownCamera(form.querySelector(".own-camera"), {
    terminal,
    look: [page.signal],
    changed: (eye) => {
      camera = eye ? { id: eye.id, kind: "camera", title: eye.title } : room;
      choose();
    },
  });
  const onReading = ({ detail }) => detail.device === camera?.id && choose();
  const onLamp = () => choose();
  terminal.addEventListener("reading", onReading);
  terminal.addEventListener("lamp", onLamp);
  conclusion?.addEventListener("input", keepDraft);
  draw();
  return {
    answer,
    unmount: () => {
      own.close();
      terminal.removeEventListener("reading", onReading);
      terminal.removeEventListener("lamp", onLamp);
    },
  };
}

const clean = (trial) => (trial && typeof trial === "object" ? trial : {});
const cell = (text) => Object.assign(document.createElement("td"), { textContent: text });
const wrap = (child) => {
  const made = document.createElement("td");
  made.append(child);
  return made;
};
const input = (type, label, value) => {
  const made = Object.assign(document.createElement("input"), { type, value });
  made.setAttribute("aria-label", label);
  return made;
};
