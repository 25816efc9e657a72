// Shows only the fields that the chosen question needs; without this script all are shown.
const form = document.querySelector(".what-if");
const kind = form.elements.kind;

function show() {
  for (const part of form.querySelectorAll("[data-for]")) {
    const wanted = part.dataset.for.split(" ").includes(kind.value);
    part.hidden = !wanted;
    for (const field of part.querySelectorAll("select")) field.disabled = !wanted;
  }
  const all = form.querySelector("option[data-all]");
  all.hidden = all.disabled = kind.value === "class";
  if (all.selected && all.disabled) form.elements.grade.selectedIndex = 1;
}

kind.addEventListener("change", show);
show();
