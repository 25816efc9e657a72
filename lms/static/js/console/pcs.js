/** The room's PCs by Veyon: lock, power, screens. A page of its own beside the console's: without Veyon it is not loaded. */

import mqtt from '../../vendor/mqtt/mqtt.esm.js';
import { call } from './api.js';
import { $, fill, icon, make, patch } from './dom.js';
import { toast, toastProblem } from './toast.js';

const POLL_MS = 1500;
const IDLE_MS = 6000;
const RENEW_MS = 12000;
const POWER = ['restart', 'shut-down'];

const { texts, lesson } = JSON.parse($('pc-data').textContent);
const url = `/api/lessons/${lesson}/pcs`;
const picked = new Set();
const shots = new Map(); // seat label → its figure
let state = null;
let line = null;
let renewing = 0;
let poller = 0;
let skew = 0;
let told = ''; // the order whose end has been told

const what = (action) => texts[`do_${action}`];
const seatsById = () => new Map(state.seats.map((seat) => [seat.id, seat]));
const nameAt = (seat) => [...document.querySelectorAll(`[data-seat="${seat.id}"] .c-pupil:not(.is-absent) .c-name`)].map((box) => box.textContent).join('、');
const newest = () => [...state.orders].reverse().find((order) => order.action !== 'screens' && order.action !== 'test');
const look = () => [...state.orders].reverse().find((order) => order.action === 'screens');
const busy = (order) => order && ['waiting', 'running'].includes(order.state);

async function ask(path, body, button) {
  button?.setAttribute('aria-busy', 'true');
  if (button) button.disabled = true;
  try {
    accept(await call(`${url}${path}`, body, texts, []));
    return true;
  } catch (problem) {
    toastProblem(problem);
    return false;
  } finally {
    button?.removeAttribute('aria-busy');
    if (button) button.disabled = false;
  }
}

function accept(found) {
  state = found;
  skew = Date.parse(found.now) - Date.now();
  draw();
  plan();
}

function plan() {
  clearTimeout(poller);
  poller = setTimeout(refresh, busy(newest()) || !$('screens').hidden ? POLL_MS : IDLE_MS);
}

async function refresh() {
  if ($('tab-pcs').hidden && $('screens').hidden && state && !busy(newest())) return plan();
  try {
    accept(await call(url, undefined, texts, []));
  } catch { plan(); } // the console itself says that the server is away
}

async function order(action, button) {
  const seats = picked.size ? [...picked] : state.seats.map((seat) => seat.id);
  if (POWER.includes(action)) {
    $('pc-ask-text').textContent = fill(texts.ask_power, { what: what(action), n: seats.length });
    $('pc-ask-yes').textContent = what(action);
    $('pc-ask-yes').onclick = () => { $('pc-ask').close(); send(action, button); };
    $('pc-ask').show(); // not modal: the stop button must stay in reach
    $('pc-ask-no').focus();
    return;
  }
  await send(action, button);
}

async function send(action, button) {
  if (await ask('', { action, seats: [...picked] }, button)) {
    picked.clear();
    draw();
  }
}

// ---- the tab

function draw() {
  if (!state) return;
  const order = newest();
  $('pc-who').textContent = picked.size ? fill(texts.some, { n: picked.size }) : fill(texts.all, { n: state.seats.length });
  const columns = Math.max(1, ...state.seats.map((seat) => seat.column + 1));
  $('pc-seats').style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  const focused = document.activeElement?.dataset?.pc;
  patch($('pc-seats'), JSON.stringify([state.seats, state.locked, order, [...picked]]), () => state.seats.map((seat) => seatButton(seat, order)));
  if (focused) $('pc-seats').querySelector(`[data-pc="${focused}"]`)?.focus();
  drawNow(order);
  drawShots();
}

function seatButton(seat, order) {
  const result = order?.results[seat.id];
  const asked = order?.seats.includes(seat.id);
  const locked = state.locked.includes(seat.id) && (order?.action !== 'lock' || !asked || result === 'ok' || result === 'unconfirmed');
  const bad = asked && result && result !== 'ok' && seat.reachable;
  const waits = asked && busy(order) && !result;
  const label = [fill(texts.pick, { n: seat.label }), locked ? texts.locked : '', bad ? texts[`result_${result}`] : ''].filter(Boolean).join(' ');
  const button = make('button', {
    type: 'button', 'data-pc': seat.id, title: label, 'aria-label': label, 'aria-pressed': String(picked.has(seat.id)),
    class: `pc-seat${locked ? ' is-locked' : ''}${bad ? ' is-bad' : ''}${waits ? ' is-busy' : ''}${seat.reachable ? '' : ' is-none'}`,
    onclick: () => { if (!picked.delete(seat.id)) picked.add(seat.id); draw(); },
  }, locked ? icon('#tabler-lock', 14) : null, seat.label);
  button.style.gridColumn = String(seat.column + 1);
  button.style.gridRow = String(seat.row + 1);
  return button;
}

function drawNow(order) {
  const box = $('pc-now');
  box.hidden = !order;
  $('pc-problems').replaceChildren();
  if (!order) return;
  const all = order.seats.length;
  const results = Object.entries(order.results);
  const bad = results.filter(([, code]) => code !== 'ok');
  const left = order.undo_until ? Math.ceil((Date.parse(order.undo_until) - Date.now() - skew) / 1000) : 0;
  box.className = `pc-now${order.state === 'done' ? (bad.length ? ' is-bad' : ' is-good') : ''}`;
  const values = { what: what(order.action), n: results.length - bad.length, bad: bad.length, all, s: left };
  const undo = order.state === 'waiting' && left > 0;
  $('pc-undo').hidden = !undo;
  let text = fill(texts.working, { ...values, n: results.length });
  if (undo) text = fill(texts.soon, { ...values, n: all });
  else if (order.state === 'cancelled') text = texts.undone;
  else if (order.state === 'done' && bad.length) text = fill(texts.some_done, values);
  else if (order.state === 'done') text = fill(['lock', 'unlock'].includes(order.action) ? texts.all_done : texts.sent, values);
  $('pc-now-text').textContent = text;
  if (order.state === 'done' && bad.length && told !== order.id && $('tab-pcs').hidden) toast(text, '', 'error');
  if (order.state === 'done') told = order.id;
  $('pc-problems').replaceChildren(...problems(bad));
}

/** One line a cause, with its seats: thirty PCs that are off are one line, not thirty. */
function problems(bad) {
  const seats = seatsById();
  const causes = new Map();
  for (const [seat, code] of bad) causes.set(code, [...(causes.get(code) || []), seats.get(seat)?.label ?? '']);
  return [...causes].map(([code, labels]) => make('li', {}, make('b', {}, labels.sort().join(' ')), make('span', {}, texts[`result_${code}`] || code)));
}

// ---- screens

function drawShots() {
  if ($('screens').hidden) return;
  const results = look()?.results || {};
  for (const seat of state.seats) {
    const shot = shots.get(seat.label);
    if (!shot) continue;
    shot.querySelector('span').textContent = `${seat.label} ${nameAt(seat)}`;
    const code = results[seat.id];
    const words = shot.dataset.seen && (!code || code === 'ok') ? '' : code && code !== 'ok' ? texts[`result_${code}`] : texts.waiting_picture;
    shot.querySelector('em').textContent = words;
    shot.querySelector('em').hidden = !words;
  }
}

function layShots() {
  const columns = Math.min(6, Math.max(1, ...state.seats.map((seat) => seat.column + 1)));
  $('pc-grid').style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  shots.clear();
  $('pc-grid').replaceChildren(...state.seats.filter((seat) => seat.reachable).map((seat) => {
    const shot = make('button', { type: 'button', class: 'pc-shot', onclick: () => shot.classList.toggle('is-large') }, make('canvas', { width: 400, height: 225 }), make('span', {}), make('em', {}));
    shots.set(seat.label, shot);
    return shot;
  }));
  drawShots();
}

/** Pictures live in a canvas only: nothing that could be saved by a right click, nothing in the browser's cache. */
async function paint(topic, payload) {
  const shot = shots.get(topic.split('/').pop());
  if (!shot) return;
  const picture = await createImageBitmap(new Blob([payload], { type: 'image/jpeg' })).catch(() => null);
  if (!picture) return;
  const canvas = shot.querySelector('canvas');
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext('2d').drawImage(picture, 0, 0);
  picture.close();
  shot.dataset.seen = '1';
  drawShots();
}

async function open(button) {
  if (!await ask('/watch', { on: true }, button)) return;
  $('screens').hidden = false;
  layShots();
  $('screens-close').focus();
  renewing = setInterval(() => ask('/watch', { on: true }).then((went) => { if (!went) close(); }), RENEW_MS);
  try {
    const { link } = await call(`/api/lessons/${lesson}/link`, undefined, texts);
    if ($('screens').hidden) return;
    const secure = window.location.protocol === 'https:';
    const address = `${secure ? 'wss' : 'ws'}://${window.location.hostname}:${secure ? link.wss_port : link.ws_port}${link.ws_path}`;
    line = mqtt.connect(address, { clientId: link.client_id, username: link.username, password: link.password, protocolVersion: 4, keepalive: 15, reconnectPeriod: 2000, resubscribe: false, reconnectOnConnackError: true });
    line.on('connect', () => { $('screens-note').hidden = true; line.subscribe(`screens/${link.username}/+`); });
    for (const event of ['close', 'offline']) line.on(event, () => { $('screens-note').hidden = false; });
    line.on('error', () => { $('screens-note').hidden = false; });
    line.on('message', paint);
  } catch (problem) { toastProblem(problem); close(); }
}

function close() {
  if ($('screens').hidden) return;
  clearInterval(renewing);
  line?.end(true);
  line = null;
  shots.clear();
  $('pc-grid').replaceChildren(); // no picture stays
  $('screens').hidden = true;
  ask('/watch', { on: false });
  $('pc-look').focus();
}

// ---- begin

for (const button of document.querySelectorAll('[data-pc-do]')) {
  button.prepend(icon(button.dataset.icon, 18), ' ');
  button.addEventListener('click', () => order(button.dataset.pcDo, button));
}
$('pc-look').addEventListener('click', (event) => open(event.currentTarget));
$('screens-close').addEventListener('click', close);
$('pc-undo').addEventListener('click', (event) => ask('/undo', { order: newest().id }, event.currentTarget));
$('pc-ask-no').addEventListener('click', () => $('pc-ask').close());
document.addEventListener('keydown', (event) => { if (event.key === 'Escape') close(); });
document.querySelector('[aria-controls="tab-pcs"]').addEventListener('click', refresh);
window.addEventListener('pagehide', close);
setInterval(() => { if (state && newest()?.undo_until) drawNow(newest()); }, 500);
refresh();
