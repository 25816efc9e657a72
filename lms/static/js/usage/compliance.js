// Small comforts of the usage pages; everything works without them.
for (const form of document.querySelectorAll("form[data-filter]")) {
  const rows = [...document.querySelectorAll(form.dataset.filter)];
  const shown = form.querySelector("[data-shown]");
  const apply = () => {
    const wanted = [...new FormData(form)].filter(([, value]) => value);
    for (const row of rows) row.hidden = !wanted.every(([name, value]) => row.dataset[name] === value);
    const left = rows.filter((row) => !row.hidden).length;
    shown.textContent = shown.dataset.text.replace("{shown}", left).replace("{all}", rows.length);
  };
  form.hidden = false;
  form.addEventListener("change", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}
for (const form of document.querySelectorAll("form[data-auto-submit]")) {
  form.addEventListener("change", () => form.requestSubmit());
}
for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}
for (const button of document.querySelectorAll("[data-show-more]")) {
  const list = button.previousElementSibling;
  list.classList.add("is-short");
  button.hidden = false;
  button.addEventListener("click", () => {
    list.classList.remove("is-short");
    button.hidden = true;
    list.querySelector(".todo-more a")?.focus();
  });
}
