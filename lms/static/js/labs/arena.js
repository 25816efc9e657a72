/** The simulated table of a room, live: canvas, and beside it every robot in words, each a button that lets it blink. */

import { call } from '../console/api.js';
import { $, fill, make } from '../console/dom.js';
import { openRoom, parsed } from './room.js';
import { TableView } from './table.js';

const page = JSON.parse($('page-data').textContent);
const { texts } = page;
const table = `arena-${page.room}`;
const view = new TableView($('table'));
const poses = new Map();
const lines = new Map(); // robot → its line in the list
const names = $('names').dataset;
const values = new Map(); // robot → {range, line, light, moving …}
let live = false;
let there = true; // whether the simulators run
let drawing = 0;

function robotsNow() {
  return room?.robots() ?? page.robots;
}

function said(robot, name) {
  return values.get(robot.homie)?.[name] ?? robot.readings[name]?.[0];
}

/** A robot's line is made once and then told, so that the keyboard keeps its place in the list. */
function lineOf(robot) {
  if (!lines.has(robot.id)) {
    const [number, title, group, place, sensed] = [make('b', { class: 'a-number' }), make('b'), make('small'), make('span'), make('span')];
    const button = make('button', { type: 'button', class: 'a-robot', title: names.identify, onclick: () => blink(robot) }, number, make('span', { class: 'a-words' }, make('span', {}, title, group), place, sensed));
    lines.set(robot.id, { button, number, title, group, place, sensed });
    $('robots').append(button);
  }
  return lines.get(robot.id);
}

function tell(robot) {
  const line = lineOf(robot);
  const pose = poses.get(robot.homie);
  const seen = ['range', 'line', 'light', 'battery'].filter((name) => said(robot, name) !== undefined)
    .map((name) => `${names[name]} ${Math.round(Number(said(robot, name)))}${{ range: ' cm', battery: '%' }[name] ?? ''}`);
  line.button.classList.toggle('is-moving', said(robot, 'moving') === 'true');
  line.number.style.background = pose ? view.colour(robot.homie) : '#6c757d';
  line.number.textContent = robot.sticker || '·';
  line.title.textContent = robot.title;
  line.group.textContent = robot.group ? fill(texts.group, { n: robot.group }) : '';
  line.place.textContent = pose
    ? fill(texts.arena_place, { x: Math.round(pose.x * 100), y: Math.round(pose.y * 100), heading: Math.round((pose.heading * 180) / Math.PI) })
    : texts.arena_real;
  line.sensed.textContent = seen.join('　');
}

function draw() {
  drawing = 0;
  for (const robot of robotsNow()) {
    const range = Number(said(robot, 'range') ?? NaN);
    view.describe(robot.homie, { number: robot.sticker || robot.homie, range: Number.isFinite(range) ? range : null, moving: said(robot, 'moving') === 'true' });
    tell(robot);
  }
  $('note').hidden = live && there && view.ready;
  $('note').textContent = view.layout && !(live && there) ? texts.arena_offline : texts.arena_none;
}

function drawSoon() {
  drawing ||= setTimeout(draw, 200);
}

function hear(topic, text) {
  const [domain, , device, node, property] = topic.split('/');
  if (domain !== 'homie') return;
  if (device === table) {
    if (node === 'arena' && property === 'layout') view.setLayout(parsed(text));
    else if (node === '$state') there = text === 'ready' || text === 'init';
    else if (property === 'pose') {
      const pose = parsed(text);
      poses.set(node, pose);
      if (robotsNow().some((robot) => robot.homie === node)) view.place(node, pose); // not one that has left the lab
    }
  } else if (node === 'main' && property && robotsNow().some((robot) => robot.homie === device)) {
    values.set(device, { ...values.get(device), [property]: text });
  } else return;
  drawSoon();
}

async function blink(robot) {
  const told = $('said');
  try {
    await call(`/api/labs/devices/${robot.id}/identify`, {}, texts);
    told.textContent = fill(texts.blink, { name: robot.sticker || robot.title });
  } catch (problem) {
    told.textContent = `${problem.title} ${problem.remedy || ''}`;
  }
}

const room = openRoom(page, {
  hear,
  changed: (now) => {
    live = now;
    $('link').dataset.mode = live ? 'live' : 'poll';
    $('link').textContent = live ? texts.link_live : texts.link_poll;
    drawSoon();
  },
  kits: drawSoon,
});

$('table').addEventListener('click', (event) => {
  const robot = robotsNow().find((one) => one.homie === view.under(event.offsetX, event.offsetY));
  if (robot) blink(robot);
});
$('full').addEventListener('click', () => { if (document.fullscreenElement) document.exitFullscreen(); else document.documentElement.requestFullscreen?.(); });
document.addEventListener('keydown', (event) => { if (event.key === 'f' || event.key === 'F') $('full').click(); });
draw();
document.documentElement.dataset.ready = 'arena';
