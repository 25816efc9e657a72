// Shows only the stages that the chosen type of school has; without this script all are shown and the server takes the right ones.
const type = document.querySelector("#f-school_type");

function show() {
  for (const block of document.querySelectorAll("[data-stage]")) {
    block.hidden = !block.dataset.types.trim().split(" ").includes(type.value);
  }
}

type.addEventListener("change", show);
show();
