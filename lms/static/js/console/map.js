/** The seat map (or the roster grid of a room without terminals): one cell a seat, one glance for who needs help. */

import { $, fill, icon, make, patch } from './dom.js';

const MARK = { done: '#tabler-check', help: '#tabler-hand-stop', offline: '#tabler-plug-connected-x' };
const ORDER = ['help', 'offline', 'done', 'here', 'hand', 'left', 'leave', 'absent'];

/** Words under a name. */
export function stateText(pupil, texts, now) {
  if (pupil.state === 'help') {
    const minutes = Math.floor((now - Date.parse(pupil.help_at)) / 60000);
    return minutes > 0 ? fill(texts.wait_minutes, { n: minutes }) : texts.wait_now;
  }
  if (pupil.state === 'here') return pupil.visible ? fill(texts.step, { n: pupil.step + 1 }) : texts.hidden;
  return texts[pupil.state];
}

function cell(pupil, seat, desk, now, ghost) {
  const state = pupil.state;
  const behind = state === 'here' && pupil.step < desk.state.lesson.step;
  const text = ghost ? desk.texts.absent : stateText(pupil, desk.texts, now);
  return make('button', {
    type: 'button',
    class: `c-pupil is-${state}${behind ? ' is-behind' : ''}${!pupil.visible && state === 'here' ? ' is-hidden' : ''}`,
    'data-person': pupil.person,
    'aria-label': [seat ? seat.label : pupil.roll, pupil.name, text, pupil.group].filter(Boolean).join(' '),
    onclick: () => desk.pick(pupil.person),
  },
  make('span', { class: 'c-name' }, pupil.name),
  make('span', { class: 'c-state' }, MARK[state] ? icon(MARK[state], 16) : null, text),
  pupil.group ? make('span', { class: 'c-group', 'data-group': pupil.group % 8 }, String(pupil.group)) : null,
  pupil.locked ? make('span', { class: 'c-locked' }, icon('#tabler-lock', 14)) : null);
}

/** A seat at which too many wrong PINs were typed: one tap opens it again. */
function unlockButton(desk, seat) {
  return make('button', { type: 'button', class: 'c-unlock', 'aria-label': `${seat.label} ${desk.texts.unlock}`, onclick: (event) => desk.act(event.currentTarget, 'unlock', { seats: true }) }, icon('#tabler-lock', 16), desk.texts.unlock);
}

const keyOf = (pupil, desk, now, ghost) => [pupil.person, pupil.state, pupil.visible, pupil.group, pupil.locked, ghost, pupil.step < desk.state.lesson.step, stateText(pupil, desk.texts, now)].join('|');

function placed(desk, pupils) {
  const bySeat = new Map();
  for (const pupil of pupils) {
    if (!pupil.seat || pupil.state === 'absent' || pupil.state === 'leave') continue;
    bySeat.set(pupil.seat, [...(bySeat.get(pupil.seat) || []), pupil]);
  }
  const ghosts = new Map();
  const loose = [];
  for (const pupil of pupils) {
    const here = pupil.seat && bySeat.get(pupil.seat)?.includes(pupil);
    if (here) continue;
    const usual = pupil.seat || desk.content.usual[pupil.person];
    if (usual && desk.seatById.has(usual) && !bySeat.has(usual) && !ghosts.has(usual)) ghosts.set(usual, pupil);
    else loose.push(pupil);
  }
  return { bySeat, ghosts, loose };
}

/** Draws everything that shows pupils: map, help strip, those without a seat. */
export function drawMap(desk, pupils, now) {
  const terminals = desk.content.terminals && desk.content.seats.length > 0;
  const { bySeat, ghosts, loose } = terminals ? placed(desk, pupils) : { bySeat: new Map(), ghosts: new Map(), loose: pupils };
  if (terminals) {
    for (const seat of desk.content.seats) {
      const box = desk.boxes.get(seat.id);
      const sitting = (bySeat.get(seat.id) || []).sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
      const ghost = ghosts.get(seat.id);
      const shown = sitting.length ? sitting : ghost ? [ghost] : [];
      const locked = desk.state.locked_seats.includes(seat.id);
      const key = `${locked}${shown.map((pupil) => keyOf(pupil, desk, now, pupil === ghost)).join('/') || 'empty'}`;
      box.classList.toggle('is-shared', shown.length > 1);
      patch(box, key, () => [make('span', { class: 'c-seat-label' }, seat.label), ...shown.map((pupil) => cell(pupil, seat, desk, now, pupil === ghost)), locked ? unlockButton(desk, seat) : null].filter(Boolean));
    }
    patch($('loose'), loose.map((pupil) => keyOf(pupil, desk, now)).join('/'), () => loose.map((pupil) => cell(pupil, null, desk, now)));
    $('loose-box').hidden = loose.length === 0;
  } else {
    patch($('map'), pupils.map((pupil) => keyOf(pupil, desk, now)).join('/'), () => pupils.map((pupil) => make('div', { class: 'c-seat' }, make('span', { class: 'c-seat-label' }, String(pupil.roll)), cell(pupil, null, desk, now))));
  }
  drawHelp(desk, pupils, now);
}

function drawHelp(desk, pupils, now) {
  const waiting = pupils.filter((pupil) => pupil.state === 'help').sort((a, b) => Date.parse(a.help_at) - Date.parse(b.help_at));
  const key = waiting.map((pupil) => `${pupil.person}${stateText(pupil, desk.texts, now)}`).join('/');
  $('help-strip').classList.toggle('is-calling', waiting.length > 0);
  patch($('help-strip'), key || 'none', () => (waiting.length
    ? [icon('#tabler-hand-stop', 26), ...waiting.map((pupil) => make('button', { type: 'button', class: 'c-help-chip', onclick: () => desk.pick(pupil.person) },
      make('b', {}, `${desk.seatById.get(pupil.seat)?.label ?? pupil.roll} ${pupil.name}`), make('span', {}, stateText(pupil, desk.texts, now))))]
    : [make('span', { class: 'c-quiet' }, desk.texts.no_help)]));
}

/** Builds the empty seats once. */
export function layMap(desk) {
  const map = $('map');
  desk.boxes = new Map();
  if (!desk.content.terminals || !desk.content.seats.length) {
    map.classList.add('is-roster');
    $('podium').hidden = true;
    return;
  }
  const columns = Math.max(...desk.content.seats.map((seat) => seat.column)) + 1;
  const rows = Math.max(...desk.content.seats.map((seat) => seat.row)) + 1;
  map.style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
  map.style.gridTemplateRows = `repeat(${rows}, minmax(3.6rem, 1fr))`;
  for (const seat of desk.content.seats) {
    const box = make('div', { class: 'c-seat', 'data-seat': seat.id });
    place(box, seat, rows, columns, false);
    desk.boxes.set(seat.id, box);
    map.append(box);
  }
  desk.turn = (turned) => {
    for (const seat of desk.content.seats) place(desk.boxes.get(seat.id), seat, rows, columns, turned);
    map.parentElement.classList.toggle('is-turned', turned);
  };
}

function place(box, seat, rows, columns, turned) {
  box.style.gridRow = String(turned ? rows - seat.row : seat.row + 1);
  box.style.gridColumn = String(turned ? columns - seat.column : seat.column + 1);
}
