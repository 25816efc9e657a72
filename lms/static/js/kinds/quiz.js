// Quiz: reads and fills the form that the server rendered; right and wrong come from the server only.
import { t } from "../lesson/texts.js";

export function mount(form, { page, draft, work, saveDraft }) {
  const inputs = (id) => [...form.querySelectorAll(`[name="q-${CSS.escape(id)}"]`)];

  const read = () => {
    const answers = {};
    for (const { id, type } of page.questions) {
      const chosen = inputs(id);
      if (type === "choice") {
        const one = chosen.find((input) => input.checked);
        if (one) answers[id] = Number(one.value);
      } else if (type === "multi") {
        const some = chosen.filter((input) => input.checked).map((input) => Number(input.value));
        if (some.length) answers[id] = some;
      } else if (chosen[0].value.trim()) {
        answers[id] = chosen[0].value.trim();
      }
    }
    return { answers };
  };

  const fill = (answers) => {
    for (const { id, type } of page.questions) {
      const given = answers?.[id];
      if (given === undefined || given === null) continue;
      for (const input of inputs(id)) {
        if (type === "choice") input.checked = Number(input.value) === given;
        else if (type === "multi") input.checked = given.includes(Number(input.value));
        else input.value = given;
      }
    }
  };

  const mark = (parts) => {
    for (const { id } of page.questions) {
      const box = form.querySelector(`[data-question="${CSS.escape(id)}"]`);
      const part = parts?.[id];
      box.dataset.verdict = part === undefined || part === null ? "" : part === 1 ? "right" : part > 0 ? "part" : "wrong";
      box.querySelector(".verdict").textContent = box.dataset.verdict ? t(`verdict-${box.dataset.verdict}`) : "";
    }
  };

  fill(draft?.answers ?? work?.answer?.answers);
  if (work && !draft) mark(partsOf(work));
  form.addEventListener("input", (event) => {
    const box = event.target.closest("[data-question]");
    if (box) {
      box.dataset.verdict = "";
      box.querySelector(".verdict").textContent = "";
    }
    saveDraft(read());
  });
  return {
    answer: read,
    replied: (reply) => mark(partsOf(reply)),
    wrong: (where) => form.querySelector(`[name="q-${CSS.escape(where.split(".")[1] ?? "")}"]`)?.focus(),
  };
}

const partsOf = (reply) => Object.fromEntries((reply.shown?.items ?? []).map((item) => [item.id, item.part]));
