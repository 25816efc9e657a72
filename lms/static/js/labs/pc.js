// A PC that waits for its seat: asks every few seconds, also while the server is away, and goes on by itself.
const EVERY_MS = 3000;

async function look() {
  try {
    const answer = await fetch(location.href, { redirect: "manual", cache: "no-store" });
    // A seat answers with a way elsewhere; another state, or a ticket that is too old, with another page.
    if (answer.type === "opaqueredirect" || !answer.ok || answer.headers.get("X-Pc-State") !== document.body.querySelector("main").dataset.state) return location.reload();
  } catch {
    // the server is away: ask again
  }
  setTimeout(look, EVERY_MS);
}

setTimeout(look, EVERY_MS);
