/** One pupil: what the teacher may do for them. */

import { call } from './api.js';
import { $, fill, icon, make } from './dom.js';
import { stateText } from './map.js';
import { mark } from './register.js';
import { toast, toastProblem } from './toast.js';

let shown = null;

export function openPupil(desk, person) {
  shown = person;
  $('pupil-answers').replaceChildren();
  $('pupil-pin').hidden = true;
  drawPupil(desk);
  if (!$('pupil').open) $('pupil').show(); // not modal: the stop button must stay in reach
  $('pupil').querySelector('[data-close]').focus();
}

export function drawPupil(desk) {
  const pupil = desk.pupils.find((one) => one.person === shown);
  if (!pupil) return;
  const now = desk.now();
  $('pupil-name').textContent = pupil.name;
  $('pupil-state').textContent = `${desk.seatById.get(pupil.seat)?.label ?? ''} ${stateText(pupil, desk.texts, now)} ${pupil.group ? fill(desk.texts.group, { n: pupil.group }) : ''}`;
  $('pupil-state').className = `c-tag is-${pupil.state}`;
  $('pupil-helped').hidden = !pupil.help_at;
  $('pupil-unlock').classList.toggle('is-urgent', pupil.locked);
  const box = $('pupil-marks');
  const focused = box.contains(document.activeElement);
  box.replaceChildren(...['hand', 'late', 'leave', 'left_early', 'absent'].map((status) => make('button', {
    type: 'button', class: `c-mark is-${status}`, 'aria-pressed': String((pupil.status === 'terminal' || pupil.status === 'shared' ? 'hand' : pupil.status) === status),
    onclick: (event) => mark(desk, pupil, status, event.currentTarget),
  }, desk.statuses[status])));
  if (focused) box.querySelector('[aria-pressed="true"]')?.focus();
}

export function layPupil(desk) {
  const dialog = $('pupil');
  const body = () => ({ person: shown });
  dialog.addEventListener('close', () => { shown = null; $('pupil-pin').hidden = true; $('pupil-pin-text').textContent = ''; });
  $('pupil-helped').addEventListener('click', async (event) => { if (await desk.act(event.currentTarget, 'hand', body())) dialog.close(); });
  $('pupil-unlock').addEventListener('click', async (event) => { if (await desk.act(event.currentTarget, 'unlock', body())) toast(desk.texts.unlocked); });
  $('pupil-reset').addEventListener('click', async (event) => {
    const made = await desk.act(event.currentTarget, 'pin', body());
    if (!made) return;
    $('pupil-pin').hidden = false;
    $('pupil-pin-title').textContent = fill(desk.texts.pin_new, { name: made.name });
    const pictures = made.pin.split('-');
    $('pupil-pin-text').replaceChildren(...(pictures.length > 1 ? pictures.map((name) => icon(desk.pictures[name], 56)) : [made.pin]));
  });
  $('pupil-look').addEventListener('click', async (event) => {
    const button = event.currentTarget;
    button.disabled = true;
    try {
      const found = await call(`${desk.url}/pupils/${shown}`, undefined, desk.texts);
      $('pupil-answers').innerHTML = found.html; // rendered and escaped by the server
    } catch (problem) { toastProblem(problem); } finally { button.disabled = false; }
  });
}
