/** The projector's window: follows the lesson, counts down, shows figures; no names ever reach it. */

import { openRoom } from '../labs/room.js';

const screen = document.getElementById('screen');
const texts = JSON.parse(document.getElementById('projector-data').textContent);
const POLL_MS = 2000;
const results = document.getElementById('results');
let shown = '';
let skew = 0;
let asking = false;
let again = false;
let poller = 0;

async function refresh() {
  if (asking) { again = true; return; }
  asking = true;
  clearTimeout(poller);
  try {
    const wanted = results.getAttribute('aria-pressed') === 'true' ? '1' : '0';
    const response = await fetch(`${screen.dataset.url}?results=${wanted}`, { headers: { Accept: 'text/html' }, signal: AbortSignal.timeout(8000) });
    if (response.ok) put(await response.text());
    document.getElementById('offline').hidden = response.ok;
  } catch {
    document.getElementById('offline').hidden = false;
  }
  asking = false;
  if (again) { again = false; refresh(); } else poller = setTimeout(refresh, POLL_MS);
}

function put(html) {
  const fresh = document.createElement('template');
  fresh.innerHTML = html; // rendered and escaped by the server
  const body = fresh.content.querySelector('.p-body');
  skew = Date.parse(body.dataset.now) - Date.now();
  body.removeAttribute('data-now');
  const now = body.outerHTML;
  if (now === shown) return;
  const before = screen.firstElementChild?.dataset.step;
  shown = now;
  screen.replaceChildren(fresh.content);
  fit();
  if (before !== undefined && before !== body.dataset.step) screen.scrollTop = 0;
  tick();
}

/** Makes the step's text as large as the screen allows. */
function fit() {
  const box = screen.querySelector('.p-show, .p-results');
  if (!box) return;
  let low = 1.2;
  let high = box.matches('.p-show') ? 4.2 : 2.6;
  for (let turn = 0; turn < 7; turn += 1) {
    const middle = (low + high) / 2;
    box.style.fontSize = `${middle}vw`;
    if (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1) high = middle; else low = middle;
  }
  box.style.fontSize = `${low}vw`;
}

function tick() {
  const body = screen.firstElementChild;
  const timer = screen.querySelector('.p-timer');
  if (!timer || !body.dataset.live || Number(body.dataset.minutes) === 0) return;
  const left = Number(body.dataset.minutes) * 60 - (Date.now() + skew - Date.parse(body.dataset.stepAt)) / 1000;
  const whole = Math.floor(Math.abs(left));
  const text = `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
  timer.textContent = left >= 0 ? text : texts.over.replace('{t}', text);
  timer.classList.toggle('is-short', left < 60);
}

results.addEventListener('click', () => {
  results.setAttribute('aria-pressed', String(results.getAttribute('aria-pressed') !== 'true'));
  refresh();
});
document.getElementById('full').addEventListener('click', () => {
  if (document.fullscreenElement) document.exitFullscreen(); else document.documentElement.requestFullscreen?.();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'f' || event.key === 'F') document.getElementById('full').click();
  if (event.key === 'r' || event.key === 'R') results.click();
});
if (typeof BroadcastChannel === 'function') new BroadcastChannel(`zhike-${screen.dataset.lesson}`).addEventListener('message', (event) => { if (event.data.results) results.click(); else refresh(); });
const room = document.getElementById('room-data');
if (room) {
  const page = JSON.parse(room.textContent);
  const link = document.getElementById('link');
  openRoom(page, { changed: (live) => { link.dataset.mode = live ? 'live' : 'poll'; link.textContent = live ? page.texts.link_live : page.texts.link_poll; } });
}
addEventListener('resize', fit);
setInterval(tick, 500);
refresh();
document.documentElement.dataset.ready = 'projector';
