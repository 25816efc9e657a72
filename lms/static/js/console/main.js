/** The teacher's console: boots from the page's JSON, lives on the broker's messages and a poll, draws. */

import { call } from './api.js';
import { $, fill } from './dom.js';
import { openLink } from './link.js';
import { drawMap, layMap } from './map.js';
import { drawPupil, layPupil, openPupil } from './pupil.js';
import { drawRegister } from './register.js';
import { drawRobots } from './robots.js';
import { seatState, Signs } from './signs.js';
import { drawSteps, drawTimers, go, layContent } from './steps.js';
import { stopButton } from './stop.js';
import { toast, toastProblem } from './toast.js';

const POLL_MS = 3000;
const POLL_LIVE_MS = 6000;
const SOON_MS = 200;

const page = JSON.parse($('console-data').textContent);
const signs = new Signs();
const projector = typeof BroadcastChannel === 'function' ? new BroadcastChannel(`zhike-${page.state.lesson.id}`) : null;
let link = null;
let reached = true;
let spoken = performance.now();
let poller = 0;
let wanted = false;
let asking = false;
let told = false;

const desk = {
  ...page,
  url: `/api/lessons/${page.state.lesson.id}`,
  skew: Date.parse(page.state.now) - Date.now(),
  seatById: new Map(page.content.seats.map((seat) => [seat.id, seat])),
  pupils: [],
  now: () => Date.now() + desk.skew,
  link: () => link,
  robots: () => desk.state.devices.filter((device) => device.kind === 'robot'),
  pick: (person) => openPupil(desk, person),
  enable,
  act,
};

/** A button is usable when the lesson allows it and no call of its own is in flight. */
function enable(button, usable) {
  button.dataset.usable = String(usable);
  button.disabled = !usable || button.getAttribute('aria-busy') === 'true';
}

/** Does something on the server; the button rests while it is in flight. Gives the answer, or null after telling what is wrong. */
async function act(button, path, body = {}) {
  button?.setAttribute('aria-busy', 'true');
  if (button) button.disabled = true;
  try {
    const answer = await call(`${desk.url}/${path}`, body, desk.texts);
    if (answer.lesson) accept(answer);
    reach(true);
    return answer;
  } catch (problem) {
    if (problem.status === 0) reach(false);
    toastProblem(problem);
    if (problem.code === 'taken-over') refresh();
    return null;
  } finally {
    button?.removeAttribute('aria-busy');
    if (button) button.disabled = button.dataset.usable === 'false';
  }
}

function accept(state) {
  const before = desk.state;
  if (state.lesson.rev < before.lesson.rev) return; // an answer that was overtaken
  desk.state = state;
  desk.skew = Date.parse(state.now) - Date.now();
  spoken = performance.now();
  if (state.lesson.rev !== before.lesson.rev) projector?.postMessage({ rev: state.lesson.rev });
  if (before.controller === 'mine' && state.controller === 'other') toast(desk.texts.taken_over, '', 'error');
  if (state.lesson.state === 'closed') location.reload();
  draw();
}

function reach(yes) {
  if (reached === yes) return;
  reached = yes;
  draw();
}

async function refresh() {
  if (asking) return;
  asking = true;
  wanted = false;
  try {
    accept(await call(`${desk.url}/state`, undefined, desk.texts, []));
    reach(true);
  } catch (problem) {
    const shut = problem.status === 401 || problem.status === 403;
    if (shut && !told) toastProblem(problem);
    told = shut;
    reach(shut);
  } finally {
    asking = false;
    plan(wanted ? SOON_MS : link?.live() && reached ? POLL_LIVE_MS : POLL_MS);
  }
}

function plan(ms) {
  clearTimeout(poller);
  poller = setTimeout(refresh, ms);
}

function draw() {
  const now = desk.now();
  const { lesson } = desk.state;
  const activity = desk.content.steps[lesson.step]?.activity;
  desk.pupils = desk.state.pupils.map((pupil) => {
    const seen = signs.over(pupil, desk.seatById.get(pupil.seat)?.terminal, lesson.id, now, spoken);
    return { ...seen, state: seatState(seen, activity, now) };
  });
  drawCounts();
  drawMap(desk, desk.pupils, now);
  drawSteps(desk);
  drawRegister(desk, desk.pupils, $('register-lines'));
  drawRobots(desk, desk.pupils, $('groups'));
  if ($('pupil').open) drawPupil(desk);
  drawBanner();
  drawTimers(desk, now);
}

function drawCounts() {
  const count = (state) => desk.pupils.filter((pupil) => pupil.state === state).length;
  const numbers = {
    present: desk.state.counts.present, roster: desk.state.counts.roster, online: count('here') + count('done') + count('help'),
    done: count('done'), help: count('help'), offline: count('offline'), absent: count('absent'),
  };
  for (const [name, number] of Object.entries(numbers)) {
    const box = $(`count-${name}`);
    if (box) box.textContent = String(number);
    box?.closest('.c-count')?.classList.toggle('is-zero', number === 0);
  }
  document.title = numbers.help ? `(${numbers.help}) ${page.title}` : page.title;
}

function drawBanner() {
  const { lesson, controller } = desk.state;
  const live = ['running', 'paused'].includes(lesson.state);
  document.body.classList.toggle('is-paused', lesson.state === 'paused');
  document.body.classList.toggle('is-ended', !live);
  document.body.classList.toggle('is-watching', controller === 'other');
  $('banner-web').hidden = reached;
  $('banner-other').hidden = controller !== 'other' || !live;
  $('banner-ended').hidden = live;
  if (!live && lesson.reopen_until) {
    const left = Math.max(0, Date.parse(lesson.reopen_until) - desk.now());
    $('reopen-left').textContent = String(Math.ceil(left / 60000));
    enable($('reopen'), left > 0);
  }
  const mine = controller !== 'other';
  for (const id of ['pause', 'resume']) enable($(id), live && mine);
  enable($('end'), live && mine);
  $('pause').hidden = lesson.state === 'paused';
  $('resume').hidden = lesson.state !== 'paused';
  const mark = $('link');
  const mode = !desk.content.room ? 'none' : link?.live() ? 'live' : 'poll';
  mark.dataset.mode = mode;
  mark.textContent = desk.texts[`link_${mode}`];
  mark.title = mode === 'poll' ? desk.texts.link_poll_tip : '';
}

let drawing = 0;
function drawSoon() {
  if (!drawing) drawing = setTimeout(() => { drawing = 0; draw(); }, 250);
}

function refreshSoon() {
  wanted = true; // news that comes while an answer is under way is newer than that answer
  if (!asking) plan(SOON_MS);
}

function hear(topic, text) {
  const part = topic.split('/');
  if (part[0] === 'homie') {
    const property = signs.hear(topic, text);
    if (property === 'needs-help' || property === 'lesson') refreshSoon();
    else if (property) drawSoon();
    else if (part[3] === 'main' || part[3] === '$state') hearDevice(part, text);
    return;
  }
  const word = part[3];
  if (word === 'stopped') stop.heard(parsed(text));
  if (word === 'lesson') {
    const said = parsed(text);
    if (said.lesson !== desk.state.lesson.id || said.rev !== desk.state.lesson.rev) refreshSoon();
  }
}

function hearDevice([, , device, node, property], text) {
  const robot = desk.state.devices.find((one) => one.homie === device);
  if (!robot) return;
  const before = `${robot.state}${robot.moving}`;
  if (node === '$state') robot.state = text;
  if (property === 'moving') robot.moving = text === 'true';
  if (property === 'battery') robot.battery = Number(text);
  if (`${robot.state}${robot.moving}` !== before) drawSoon();
}

function parsed(text) {
  try { return JSON.parse(text) || {}; } catch { return {}; }
}

async function connect() {
  if (!desk.content.room) return;
  try {
    const { link: credential } = await call(`${desk.url}/link`, undefined, desk.texts);
    if (credential) link = openLink(credential, hear, (live) => { drawBanner(); plan(live ? 0 : POLL_MS); }, () => setTimeout(connect, 3000));
  } catch {
    setTimeout(connect, 5000); // the web is away; polling says so and goes on
  }
}

function tabs() {
  const buttons = [...document.querySelectorAll('[role="tab"]')];
  const show = (chosen) => {
    for (const button of buttons) {
      const on = button === chosen;
      button.setAttribute('aria-selected', String(on));
      button.tabIndex = on ? 0 : -1;
      $(button.getAttribute('aria-controls')).hidden = !on;
    }
  };
  buttons.forEach((button, index) => {
    button.addEventListener('click', () => show(button));
    button.addEventListener('keydown', (event) => {
      const turn = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!turn) return;
      event.preventDefault();
      event.stopPropagation();
      const next = buttons[(index + turn + buttons.length) % buttons.length];
      show(next);
      next.focus();
    });
  });
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select')) return;
  if (event.key === 's' || event.key === 'S') stop.press();
  else if (event.key === 'Escape') for (const open of document.querySelectorAll('dialog[open]')) open.close();
  else if (event.target.closest('dialog, [role="tab"], .c-line')) return;
  else if (event.key === 'ArrowRight' || event.key === 'PageDown') go(desk, desk.state.lesson.step + 1, $('next'));
  else if (event.key === 'ArrowLeft' || event.key === 'PageUp') go(desk, desk.state.lesson.step - 1, $('previous'));
  else return;
  event.preventDefault();
}

function buttons() {
  const on = (id, does) => $(id)?.addEventListener('click', (event) => does(event.currentTarget));
  on('pause', (button) => act(button, 'pause'));
  on('resume', (button) => act(button, 'resume'));
  on('end', () => { $('end-dialog').show(); $('end-no').focus(); });
  on('end-no', () => $('end-dialog').close());
  on('end-yes', async (button) => { if (await act(button, 'end')) $('end-dialog').close(); });
  on('reopen', (button) => act(button, 'reopen'));
  on('close-now', (button) => act(button, 'close'));
  on('take-over', (button) => act(button, 'take-over'));
  on('mark-rest', async (button) => { if (await act(button, 'register', { rest: 'hand' })) toast(desk.texts.rest_done); });
  on('make-groups', (button) => act(button, 'groups', { size: Number($('group-size').value) }));
  on('deal', async (button) => { const answer = await act(button, 'robots', { deal: true }); if (answer) toast(fill(desk.texts.dealt, { n: answer.dealt })); });
  on('turn', () => { const turned = $('turn').getAttribute('aria-pressed') !== 'true'; turn(turned); });
  on('save-note', async (button) => { if (await act(button, 'note', { note: $('note').value })) toast(desk.texts.saved); });
  on('show-results', () => projector?.postMessage({ results: true }));
  on('open-projector', () => window.open(page.projector, `zhike-projector-${page.state.lesson.id}`));
  for (const button of document.querySelectorAll('[data-close]')) button.addEventListener('click', () => button.closest('dialog').close());
}

function turn(turned) {
  desk.turn?.(turned);
  $('turn').setAttribute('aria-pressed', String(turned));
  try { localStorage.setItem('zhike-turned', turned ? '1' : ''); } catch { /* private window: not kept */ }
}

layMap(desk);
layContent(desk);
layPupil(desk);
const stop = stopButton({ ...desk, room: desk.content.room });
tabs();
buttons();
document.addEventListener('keydown', keys);
let turned = '';
try { turned = localStorage.getItem('zhike-turned') || ''; } catch { /* private window */ }
if (desk.turn) turn(turned === '1'); else $('turn').hidden = true;
draw();
if (page.state.controller === 'free') act(null, 'take-over', { if_free: true });
connect();
plan(POLL_MS);
setInterval(() => draw(), 1000);
document.documentElement.dataset.ready = 'console';
