/** The page of the lab check loads itself anew as soon as the check is done; a failed request is tried again. */

import { call } from '../console/api.js';

const { url } = JSON.parse(document.getElementById('page-data').textContent);

async function ask() {
  try {
    const found = await call(url);
    if (found.done) {
      location.reload();
      return;
    }
  } catch {
    // The server is away for a moment: the next turn asks again, and the link on the page does so by hand.
  }
  setTimeout(ask, 700);
}

setTimeout(ask, 700);
