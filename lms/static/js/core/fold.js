// The folded part of the menu closes when one goes on elsewhere.
const fold = document.querySelector(".menu-fold");

if (fold) {
  document.addEventListener("click", (event) => { if (!fold.contains(event.target)) fold.open = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") fold.open = false; });
}
