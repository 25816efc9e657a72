/** Parts of a page with data-again are fetched anew until the server sends them without it; what is typed elsewhere on the page stays. */

const AGAIN_MS = 2000;

async function again() {
  try {
    const answer = await fetch(location.href);
    const fresh = new DOMParser().parseFromString(answer.ok ? await answer.text() : '', 'text/html');
    for (const part of document.querySelectorAll('[data-again]')) part.replaceWith(fresh.getElementById(part.id) ?? part);
  } catch {
    // The server is away for a moment: the next turn asks again.
  }
  plan();
}

function plan() {
  if (document.querySelector('[data-again]')) setTimeout(again, AGAIN_MS);
}

plan();
