/** Groups and the robots they hold: deal, assign, pass the wheel, find one. */

import { fill, icon, make, patch } from './dom.js';
import { toast } from './toast.js';

export function drawRobots(desk, pupils, box) {
  const robots = desk.robots();
  const { groups } = desk.state;
  const key = JSON.stringify([groups, robots, pupils.map((pupil) => [pupil.person, pupil.group, pupil.at_terminal])]);
  if (box.contains(document.activeElement) && document.activeElement.tagName === 'SELECT') return;
  patch(box, key, () => [...groups.map((group) => card(desk, group, robots, pupils)), idle(desk, groups, robots)].filter(Boolean));
}

function card(desk, group, robots, pupils) {
  const members = pupils.filter((pupil) => pupil.group === group.number);
  const robot = robots.find((one) => one.id === group.device);
  const select = make('select', { class: 'form-select form-select-sm', 'aria-label': fill(desk.texts.group, { n: group.number }) },
    make('option', { value: '' }, desk.texts.no_robot),
    ...robots.map((one) => make('option', { value: one.id, selected: one.id === group.device }, `${one.sticker || ''} ${one.title}`)));
  select.addEventListener('change', () => desk.act(select, 'robots', { group: group.number, device: select.value || null }));
  return make('div', { class: 'c-group-card' },
    make('div', { class: 'c-group-head' }, make('span', { class: 'c-group', 'data-group': group.number % 8 }, String(group.number)), robots.length ? select : null, robot ? blink(desk, robot) : null),
    make('div', { class: 'c-members' }, ...members.map((pupil) => make('button', {
      type: 'button', class: `c-member${pupil.person === group.driver ? ' is-driver' : ''}`, disabled: !pupil.at_terminal || pupil.person === group.driver,
      title: pupil.person === group.driver ? desk.texts.drives : '',
      onclick: (event) => desk.act(event.currentTarget, 'wheel', { group: group.number, person: pupil.person }),
    }, pupil.person === group.driver && robot ? icon('#tabler-steering-wheel', 16) : null, pupil.name))));
}

function blink(desk, robot) {
  const battery = robot.battery !== null && robot.battery !== undefined ? `${Math.round(robot.battery)}%` : '';
  return make('span', { class: 'c-kit' }, make('button', {
    type: 'button', class: 'c-icon-button', title: robot.title, 'aria-label': `${robot.title} ${battery}`.trim(),
    onclick: async (event) => { if (await desk.act(event.currentTarget, 'identify', { device: robot.id })) toast(fill(desk.texts.blink, { name: robot.sticker || robot.title })); },
  }, icon('#tabler-bulb', 18), battery ? make('small', {}, battery) : null,
  make('span', { class: `c-dot is-${robot.moving ? 'moving' : robot.state}` })), acts(desk, robot));
}

/** A kit that takes off or goes to poses does so on its own page, beside what the teacher has to look at first. */
function acts(desk, robot) {
  if (!robot.acts) return null;
  const page = `/labs/device/${encodeURIComponent(desk.content.room)}/${encodeURIComponent(robot.sticker || robot.homie)}`;
  return make('a', { class: 'c-icon-button', href: page, target: '_blank', rel: 'noopener', title: desk.texts.kit_page, 'aria-label': `${robot.title} ${desk.texts.kit_page}` }, icon('#tabler-steering-wheel', 18));
}

function idle(desk, groups, robots) {
  const held = new Set(groups.map((group) => group.device));
  const rest = robots.filter((robot) => !held.has(robot.id));
  if (!rest.length) return null;
  return make('div', { class: 'c-group-card' }, make('div', { class: 'c-members' }, ...rest.map((robot) => make('span', { class: 'c-robot' }, `${robot.sticker} ${robot.title}`, blink(desk, robot)))));
}
