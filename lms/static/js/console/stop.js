/** Stop all robots: straight to the broker, and to the web for the journal, with one id. Says whom nobody has confirmed. */

import { call, uuid } from './api.js';
import { $, fill, icon, make } from './dom.js';

const REPORT_MS = 1800; // the gateway answers within 1.7 s: whom nobody has confirmed is listed within two
const ASK_MS = 600;
const ASK_FOR_MS = 15000;
const GONE = new Set(['disconnected']); // taken out of the lab or switched off in order

/** `desk`: {room, url, texts, link(), robots()}. Returns {press, heard}. */
export function stopButton(desk) {
  let current = null;

  function show(kind, title, lines = []) {
    const panel = $('stop-panel');
    panel.className = `c-stop-panel c-stop-${kind}`;
    $('stop-title').textContent = title;
    $('stop-list').replaceChildren(...lines.map((line) => make('li', {}, icon('#tabler-alert-triangle', 22), make('b', {}, line.title), make('span', {}, line.reason))));
    panel.hidden = false;
  }

  const known = (device) => desk.robots().find((robot) => robot.homie === device || robot.sticker === device);
  const number = (device) => known(device)?.sticker || device;
  const lift = (name) => fill(desk.texts.stop_lift, { names: name });

  /** Takes a gateway's answer; a room may have several gateways, and each answers for its own robots. */
  function report(facts) {
    if (!current || facts.id !== current.id) return;
    current.reported = true;
    for (const device of facts.confirmed || []) {
      current.confirmed.add(device);
      current.open.delete(device);
    }
    for (const one of facts.unconfirmed || []) if (!current.confirmed.has(one.device)) current.open.set(one.device, one);
    tell();
  }

  /** Robots that no gateway has spoken of. */
  function silent() {
    return desk.robots().filter((robot) => !GONE.has(robot.state) && !current.confirmed.has(robot.homie) && !current.open.has(robot.homie));
  }

  function tell() {
    const unspoken = silent();
    if (unspoken.length && !current.late) return; // another gateway may still answer
    const open = [
      ...[...current.open.values()].map((one) => ({ name: one.sticker || number(one.device), reason: one.reason || desk.texts.reason_no_answer })),
      ...unspoken.map((robot) => ({ name: robot.sticker || robot.title, reason: desk.texts.reason_no_gateway })),
    ];
    if (open.length) {
      show('bad', lift(open.map((one) => one.name).join('、')), open.map((one) => ({ title: lift(one.name), reason: one.reason })));
    } else {
      show('good', current.confirmed.size ? fill(desk.texts.stop_ok, { n: current.confirmed.size }) : desk.texts.stop_none);
    }
  }

  function unheard(title) {
    if (!current || current.reported) return;
    show('bad', title, desk.robots().map((robot) => ({ title: lift(robot.sticker || robot.title), reason: desk.texts.stop_lift_one + desk.texts.reason_no_answer })));
  }

  async function ask(id) {
    if (!current || current.id !== id || performance.now() - current.at > ASK_FOR_MS) return;
    if (current.reported && !silent().length) return;
    try {
      const facts = await call(`${desk.url}/stop/${id}`, undefined, desk.texts, []);
      if (facts.reported) report(facts);
    } catch { /* the web is away: the broker's answer or the timer decides */ }
    setTimeout(() => ask(id), ASK_MS);
  }

  function tooLate(id, direct) {
    if (current?.id !== id) return;
    current.late = true;
    if (current.reported) tell(); else unheard(direct ? desk.texts.stop_switch_late : desk.texts.stop_switch);
  }

  async function press() {
    const id = uuid();
    current = { id, at: performance.now(), reported: false, late: false, confirmed: new Set(), open: new Map() };
    show('busy', desk.texts.stop_sending);
    setTimeout(() => tooLate(id, current.id === id && (current.direct || current.posted)), REPORT_MS);
    const link = desk.link();
    const said = link ? link.publish(`zhike/room/${desk.room}/stop`, { id, by: 'teacher', at: new Date().toISOString() }).then(() => true, () => false) : Promise.resolve(false);
    const posted = call(`${desk.url}/stop`, { id }, desk.texts).then(() => true, () => false);
    posted.then((yes) => { if (current.id === id) current.posted = yes; });
    setTimeout(() => ask(id), ASK_MS);
    const direct = await said;
    if (current.id !== id) return posted;
    current.direct = direct;
    if (!direct) posted.then((yes) => { if (!yes && current.id === id) unheard(desk.texts.stop_switch); });
    return posted;
  }

  $('stop').addEventListener('click', press);
  $('stop-again').addEventListener('click', press);
  $('stop-close').addEventListener('click', () => { $('stop-panel').hidden = true; });
  return { press, heard: report };
}

/** The page's stop key: S, unless somebody is writing. */
export function stopKey(event) {
  return (event.key === 's' || event.key === 'S') && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.closest('input, textarea, select, [contenteditable="true"]');
}
