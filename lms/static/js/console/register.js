/** The register: one line a pupil, one tap a status; keys 1–5 and arrows for the practised. */

import { make, patch } from './dom.js';

const CHOICES = ['hand', 'late', 'leave', 'left_early', 'absent'];
const SHOWN = { terminal: 'hand', shared: 'hand' };

export function drawRegister(desk, pupils, box) {
  const key = pupils.map((pupil) => `${pupil.person}${pupil.status}`).join('/');
  const focused = document.activeElement?.dataset?.mark;
  patch(box, key, () => pupils.map((pupil) => line(desk, pupil)));
  if (focused) box.querySelector(`[data-mark="${CSS.escape(focused)}"]`)?.focus();
}

function line(desk, pupil) {
  const chosen = SHOWN[pupil.status] || pupil.status;
  const row = make('div', { class: `c-line is-${pupil.status}`, role: 'group', 'aria-label': pupil.name },
    make('span', { class: 'c-roll' }, String(pupil.roll)),
    make('span', { class: 'c-line-name' }, pupil.name, SHOWN[pupil.status] ? make('small', {}, desk.statuses[pupil.status]) : null),
    ...CHOICES.map((status, index) => make('button', {
      type: 'button', class: `c-mark is-${status}`, 'data-mark': `${pupil.person}:${status}`, 'aria-pressed': String(status === chosen), title: `${desk.statuses[status]} (${index + 1})`,
      onclick: (event) => mark(desk, pupil, status, event.currentTarget),
    }, desk.statuses[status])));
  row.addEventListener('keydown', (event) => keys(event, row, desk, pupil));
  return row;
}

function keys(event, row, desk, pupil) {
  const number = Number(event.key);
  if (number >= 1 && number <= CHOICES.length) {
    event.preventDefault();
    mark(desk, pupil, CHOICES[number - 1], row.querySelectorAll('.c-mark')[number - 1]);
    row.nextElementSibling?.querySelector('.c-mark')?.focus();
  } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
    event.preventDefault();
    const target = event.key === 'ArrowDown' ? row.nextElementSibling : row.previousElementSibling;
    target?.querySelector('.c-mark')?.focus();
  }
}

/** Marks a pupil; a pupil at a terminal who is "here" already keeps the terminal's word. */
export function mark(desk, pupil, status, button) {
  if ((SHOWN[pupil.status] || pupil.status) === status) return Promise.resolve();
  return desk.act(button, 'register', { person: pupil.person, status });
}
