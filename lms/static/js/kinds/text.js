// Text answer: a field that counts characters as a pupil counts them.
import { t } from "../lesson/texts.js";

export function mount(form, { page, draft, work, saveDraft }) {
  const field = form.querySelector("textarea");
  const counter = form.querySelector(".char-count");
  if (draft?.text !== undefined) field.value = draft.text;
  else if (work?.answer?.text) field.value = work.answer.text;

  const count = () => [...field.value.replace(/\s/g, "")].length;
  const show = () => {
    const chars = count();
    counter.textContent = t("chars", { chars, least: page.min_chars, most: page.max_chars });
    counter.classList.toggle("char-bad", chars > page.max_chars);
  };
  field.addEventListener("input", () => {
    show();
    saveDraft({ text: field.value });
  });
  show();
  return {
    answer: () => ({ text: field.value }),
    wrong: () => field.focus(),
  };
}
