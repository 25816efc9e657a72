// Small comforts of the usage pages; everything works without them.
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
