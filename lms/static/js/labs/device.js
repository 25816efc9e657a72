/** A device's page: live state and readings, identify in one tap. */

import { call } from '../console/api.js';
import { $, fill } from '../console/dom.js';
import { previewOf } from './preview.js';
import { openRoom, parsed } from './room.js';

const page = JSON.parse($('page-data').textContent);
const { texts } = page;
const me = page.own;
let heardAt = me.age_s === null ? null : Date.now() - me.age_s * 1000;

function showReading(name, text) {
  const place = document.querySelector(`[data-reading="${CSS.escape(name)}"]`);
  if (!place) return false;
  place.textContent = { true: texts.yes, false: texts.no }[text] ?? text.replace(/\.0$/, '');
  return true;
}

function showAge() {
  const seconds = heardAt === null ? null : Math.max(0, Math.round((Date.now() - heardAt) / 1000));
  $('age').textContent = seconds === null ? texts.no_message : seconds < 120 ? fill(texts.seconds_ago, { n: seconds }) : fill(texts.minutes_ago, { n: Math.round(seconds / 60) });
}

function show(kit) {
  if ($('state').textContent !== kit.state_text) {
    $('state').textContent = kit.state_text;
    $('state').className = `badge bg-${kit.colour}-lt`;
    $('state-bar').className = `card-status-top bg-${kit.colour}`;
  }
  $('worries').hidden = kit.worries.length === 0;
  $('worry-list').replaceChildren(...kit.worries.map((text) => Object.assign(document.createElement('li'), { textContent: text })));
  for (const [name, [text]] of Object.entries(kit.readings)) if (!room.live()) showReading(name, text);
  if (kit.age_s !== null) heardAt = Math.max(heardAt ?? 0, Date.now() - kit.age_s * 1000);
  showAge();
}

const preview = $('preview') ? previewOf(page, () => room.live()) : null;
const room = openRoom(page, {
  hear: (topic, text) => {
    preview?.(topic, text);
    const [domain, , device, node, property] = topic.split('/');
    if (domain !== 'homie' || device !== me.homie) return;
    heardAt = Date.now();
    if (property === 'refused') {
      $('refused').hidden = false;
      $('refused').textContent = `${texts.refused}${parsed(text)[document.documentElement.lang.startsWith('en') ? 'en' : 'zh'] ?? ''}`;
    } else if (node === '$state' || node === '$alert') room.refresh();
    else if (node === 'main' && property && !showReading(property, text)) room.refresh();
  },
  changed: (live) => {
    $('link').dataset.mode = live ? 'live' : 'poll';
    $('link').textContent = live ? texts.link_live : texts.link_poll;
  },
  kits: (found) => { const mine = found.find((kit) => kit.id === me.id); if (mine) show(mine); },
});

$('identify').addEventListener('click', async (event) => {
  const button = event.currentTarget;
  button.disabled = true;
  try {
    await call(`/api/labs/devices/${me.id}/identify`, {}, texts);
    $('identify-said').textContent = fill(texts.blink, { name: me.sticker || me.title });
  } catch (problem) {
    $('identify-said').textContent = `${problem.title} ${problem.remedy || ''}`;
  }
  button.disabled = false;
});
setInterval(showAge, 1000);
showAge();
document.documentElement.dataset.ready = 'device';
