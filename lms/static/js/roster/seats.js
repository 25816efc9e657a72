// The seat map: drag a seat to a free place or onto another seat to swap; saved at once, put back if the server refuses.

const grid = document.getElementById("seat-grid");
const status = document.getElementById("seat-status");

if (grid?.dataset.editable) {
  let held = null;

  const placeOf = (element) => element?.closest("[data-row]") ?? null;
  const coordinates = (element) => [Number(element.dataset.row), Number(element.dataset.column)];

  const swap = (one, other) => {
    const mark = document.createComment("");
    one.replaceWith(mark);
    other.replaceWith(one);
    mark.replaceWith(other);
    const [row, column] = coordinates(one);
    [one.dataset.row, one.dataset.column] = [other.dataset.row, other.dataset.column];
    [other.dataset.row, other.dataset.column] = [String(row), String(column)];
    for (const form of [one, other]) {
      if (form.elements?.row) [form.elements.row.value, form.elements.column.value] = coordinates(form);
    }
  };

  const save = async (seats) => {
    const places = Object.fromEntries(seats.map((seat) => [seat.dataset.seat, coordinates(seat)]));
    const answer = await fetch(grid.dataset.url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content },
      body: JSON.stringify({ places }),
    }).catch(() => null);
    return answer?.ok ?? false;
  };

  grid.addEventListener("dragstart", (event) => {
    held = event.target.closest("[data-seat]");
    event.dataTransfer.effectAllowed = "move";
  });
  grid.addEventListener("dragover", (event) => {
    if (held && placeOf(event.target) && placeOf(event.target) !== held) event.preventDefault();
  });
  grid.addEventListener("drop", async (event) => {
    const target = placeOf(event.target);
    if (!held || !target || target === held) return;
    event.preventDefault();
    const moved = held;
    held = null;
    swap(moved, target);
    if (!(await save([moved, target].filter((each) => each.dataset.seat)))) {
      swap(moved, target);
      status.textContent = grid.dataset.failed;
    }
  });
}
