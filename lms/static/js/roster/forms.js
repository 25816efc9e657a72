// Small comforts of the roster's forms: ask before what cannot be undone, print, one filter at a time, term dates.

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.addEventListener("click", () => window.print());
}

for (const select of document.querySelectorAll("select[data-only]")) {
  select.addEventListener("change", () => {
    for (const other of select.form.querySelectorAll("select[data-only]")) if (other !== select) other.value = "";
    select.form.submit();
  });
}

for (const select of document.querySelectorAll("select[data-dates]")) {
  select.addEventListener("change", () => {
    const { starts, ends } = select.selectedOptions[0].dataset;
    select.form.elements.starts_on.value = starts;
    select.form.elements.ends_on.value = ends;
  });
}

for (const details of document.querySelectorAll("details.more")) {
  details.addEventListener("toggle", () => {
    if (!details.open) return;
    for (const other of document.querySelectorAll("details.more[open]")) if (other !== details) other.open = false;
  });
}
