// While scans are being read the page is asked anew, but not under somebody's hands.
const EVERY_MS = 4000;

function again() {
  const busy = document.activeElement?.matches("input, select, textarea, button");
  if (document.hidden || busy) return setTimeout(again, EVERY_MS);
  location.reload();
}

setTimeout(again, EVERY_MS);
