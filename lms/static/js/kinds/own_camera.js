// The button with which a pupil uses this computer's camera, the sign that it is on, and what the machine sees of it.
import { Eye, obstacle } from "../lesson/eye.js";
import { t } from "../lesson/texts.js";

/** Builds into `place`; `changed(eye)` with the camera while it is on, else null. Returns {eye, close}. */
export function ownCamera(place, { terminal, look, changed }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 240, height: 180, className: "eye-view", hidden: true });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", t("eye-picture"));
  const button = Object.assign(document.createElement("button"), { type: "button", className: "btn eye-button" });
  const said = Object.assign(document.createElement("p"), { className: "eye-said" });
  said.setAttribute("role", "status");
  const words = document.createElement("div");
  words.append(button, said);
  place.replaceChildren(canvas, words);
  place.hidden = false;
  let eye = null;

  const draw = (text) => {
    const on = eye?.on === true;
    canvas.hidden = !on;
    place.dataset.on = String(on);
    button.textContent = t(on ? "eye-off" : "eye-use");
    said.textContent = text ?? t(on ? "eye-on" : "eye-numbers");
  };
  const moved = () => {
    const on = eye?.on === true;
    draw(on && terminal.readings.get(eye.id)?.stale === "true" ? t("eye-stale") : eye?.why ? t(`eye-${eye.why}`) : undefined);
    changed(on ? eye : null);
  };
  button.addEventListener("click", async () => {
    if (eye?.on) return eye.stop();
    button.disabled = true;
    said.textContent = t("eye-starting");
    eye = new Eye(terminal, { look, canvas, title: t("eye-title") });
    eye.addEventListener("changed", moved);
    try {
      await eye.start();
    } catch (error) {
      eye = null;
      draw(t(`eye-${error.code ?? "model"}`));
      changed(null);
    } finally {
      button.disabled = false;
    }
  });
  const wrong = obstacle();
  button.disabled = wrong !== "";
  draw(wrong ? t(`eye-${wrong}`) : undefined);
  return { get eye() { return eye?.on ? eye : null; }, close: () => eye?.stop() };
}
