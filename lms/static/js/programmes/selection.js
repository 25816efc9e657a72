// Selection: sum and autosave of a score sheet, Enter to the next item, tick all, copy a text. Everything works without it.
const form = document.querySelector("#score-form");
if (form) score(form);

function score(form) {
  const inputs = [...form.querySelectorAll("[data-most]")];
  const sum = document.querySelector("#sum");
  const status = document.querySelector("#saved");
  let timer = 0;
  let saving = false;
  let dirty = false;

  function right(one) {
    return one.value.trim() === "" || (/^\d{1,3}(\.\d)?$/.test(one.value.trim()) && Number(one.value) <= Number(one.dataset.most));
  }

  function show() {
    for (const one of inputs) one.classList.toggle("is-invalid", !right(one));
    const full = inputs.every((one) => one.value.trim() !== "" && right(one));
    sum.textContent = full ? String(Math.round(inputs.reduce((all, one) => all + Number(one.value) * 10, 0)) / 10) : "–";
  }

  async function save() {
    if (saving) return;
    saving = true;
    dirty = false;
    status.textContent = status.dataset.saving;
    try {
      const answer = await fetch(form.action || location.href, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
      const told = await answer.json();
      if (answer.ok) status.textContent = told.problems.length ? told.problems[0] : status.dataset.saved;
      else { status.textContent = told.title; if (answer.status >= 500) again(); }
    } catch {
      status.textContent = status.dataset.failed;
      again();
    }
    saving = false;
    if (dirty) later(1500);
  }

  function again() { dirty = true; later(5000); }
  function later(ms) { clearTimeout(timer); timer = setTimeout(save, ms); }

  form.addEventListener("input", () => { show(); dirty = true; if ("autosave" in form.dataset) later(1500); });
  form.addEventListener("submit", () => clearTimeout(timer));
  inputs.forEach((one, number) => one.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    (inputs[number + 1] || form.elements.comment).focus();
  }));
}

const all = document.querySelector("[data-choose-all]");
if (all) {
  all.hidden = false;
  all.addEventListener("change", () => { for (const one of document.querySelectorAll("[name='chosen']")) one.checked = all.checked; });
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.querySelector(button.dataset.copy);
    text.select();
    if (navigator.clipboard) await navigator.clipboard.writeText(text.value);
    else document.execCommand("copy"); // plain HTTP has no clipboard
    button.textContent = button.dataset.copied;
  });
}
