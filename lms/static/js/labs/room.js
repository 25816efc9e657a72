/** A page of one room: its line to the broker, its stop button with the S key, a poll where there is no line. */

import { call } from '../console/api.js';
import { openLink } from '../console/link.js';
import { stopButton, stopKey } from '../console/stop.js';

const POLL_MS = 3000;
const POLL_LIVE_MS = 10000;
const CREDENTIAL_MS = 5000;

/**
 * `page`: {room, url, texts, robots}; `hear(topic, text)` gets what the broker says, `changed(live)` whether the line lives,
 * `kits(list)` the devices' facts as the server knows them. Returns {refresh, live, robots}.
 */
export function openRoom(page, { hear = () => {}, changed = () => {}, kits = () => {} }) {
  let link = null;
  let robots = page.robots;
  let poller = 0;
  const stop = stopButton({ ...page, link: () => link, robots: () => robots });

  function heard(topic, text) {
    if (topic === `zhike/room/${page.room}/stopped`) stop.heard(parsed(text));
    else hear(topic, text);
  }

  async function connect() {
    try {
      const { link: credential } = await call(`${page.url}/link`, undefined, page.texts);
      link = openLink(credential, heard, (live) => { changed(live); plan(live ? 0 : POLL_MS); }, () => setTimeout(connect, POLL_MS));
    } catch {
      setTimeout(connect, CREDENTIAL_MS); // the web is away
    }
  }

  async function refresh() {
    try {
      const { kits: found } = await call(`${page.url}/kits`, undefined, page.texts, []);
      robots = found.filter((kit) => kit.kind === 'robot');
      kits(found);
    } catch { /* asked again */ }
    plan(link?.live() ? POLL_LIVE_MS : POLL_MS);
  }

  function plan(ms) {
    clearTimeout(poller);
    poller = setTimeout(refresh, ms);
  }

  document.addEventListener('keydown', (event) => { if (stopKey(event)) { event.preventDefault(); stop.press(); } });
  changed(false);
  connect();
  plan(robots.length ? POLL_MS : 0);
  return { refresh: () => plan(0), live: () => link?.live() === true, robots: () => robots };
}

export function parsed(text) {
  try { return JSON.parse(text) || {}; } catch { return {}; }
}
