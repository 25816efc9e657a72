// The number at the bell: asked when the page is idle, at most once a minute, so that no page waits for it.
const bell = document.querySelector("[data-bell]");
const KEY = "zhike-bell";
const KEPT_MS = 60_000;

function show(unread) {
  bell.querySelector("b").textContent = unread > 99 ? "99+" : unread || "";
  bell.querySelector("b").hidden = !unread;
}

async function ask() {
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
  const here = location.pathname === new URL(bell.href).pathname;
  if (kept.at > Date.now() - KEPT_MS && !here) return show(kept.unread);
  const answer = await fetch(bell.dataset.bell, { headers: { Accept: "application/json" } }).catch(() => null);
  if (!answer?.ok) return;
  const { unread } = await answer.json();
  sessionStorage.setItem(KEY, JSON.stringify({ at: Date.now(), unread }));
  show(unread);
}

if (bell) (window.requestIdleCallback ?? setTimeout)(ask);
