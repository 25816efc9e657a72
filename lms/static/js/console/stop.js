/** Stop all robots: straight to the broker, and to the web for the journal, with one id. Says whom nobody has confirmed. */

import { call, uuid } from './api.js';
import { $, fill, icon, make } from './dom.js';

const REPORT_MS = 1800; // the gateway answers within 1.7 s: whom nobody has confirmed is listed within two
const ASK_MS = 600;

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

  function number(device) {
    const known = desk.robots().find((robot) => robot.homie === device || robot.sticker === device);
    return known?.sticker || device;
  }

  function report(facts) {
    if (!current || facts.id !== current.id) return;
    clearTimeout(current.timer);
    current.reported = true;
    const open = facts.unconfirmed || [];
    if (open.length) {
      const names = open.map((one) => one.sticker || number(one.device)).join('、');
      show('bad', fill(desk.texts.stop_lift, { names }), open.map((one) => ({
        title: fill(desk.texts.stop_lift, { names: one.sticker || number(one.device) }), reason: one.reason || desk.texts.reason_no_answer,
      })));
      return;
    }
    const stopped = (facts.confirmed || []).length;
    show('good', stopped ? fill(desk.texts.stop_ok, { n: stopped }) : desk.texts.stop_none);
  }

  function unheard(title) {
    if (!current || current.reported) return;
    show('bad', title, desk.robots().map((robot) => ({
      title: fill(desk.texts.stop_lift, { names: robot.sticker || robot.title }), reason: desk.texts.stop_lift_one + desk.texts.reason_no_answer,
    })));
  }

  async function ask(id) {
    if (!current || current.id !== id || current.reported || performance.now() - current.at > 15000) return;
    try {
      const facts = await call(`${desk.url}/stop/${id}`, undefined, desk.texts, []);
      if (facts.reported) { report(facts); return; }
    } catch { /* the web is away: the broker's answer or the timer decides */ }
    setTimeout(() => ask(id), ASK_MS);
  }

  async function press() {
    const id = uuid();
    current = { id, at: performance.now(), reported: false };
    show('busy', desk.texts.stop_sending);
    const link = desk.link();
    const said = link ? link.publish(`zhike/room/${desk.room}/stop`, { id, by: 'teacher', at: new Date().toISOString() }).then(() => true, () => false) : Promise.resolve(false);
    const posted = call(`${desk.url}/stop`, { id }, desk.texts).then(() => true, () => false);
    setTimeout(() => ask(id), ASK_MS);
    const direct = await said;
    if (!direct && current.id === id) unheard(desk.texts.stop_switch);
    const left = Math.max(0, REPORT_MS - (performance.now() - current.at));
    current.timer = setTimeout(() => unheard(direct ? desk.texts.stop_switch_late : desk.texts.stop_switch), left);
    return posted;
  }

  $('stop').addEventListener('click', press);
  $('stop-again').addEventListener('click', press);
  $('stop-close').addEventListener('click', () => { $('stop-panel').hidden = true; });
  return { press, heard: report };
}
