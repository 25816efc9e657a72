/** Boards that gateways have met and no lab file names: listed live, adopted with one button, without a new start of the gateway. */

import { call } from '../console/api.js';
import { $, fill, make } from '../console/dom.js';
import { openLink } from '../console/link.js';
import { parsed } from './room.js';

const AGAIN_MS = 5000;
const page = JSON.parse($('strangers-data').textContent);
const { texts } = page;
const lists = new Map(); // gateway → its rows
const said = new Map(); // gateway/id → what happened

const text = (row) => [row.name, row.convention === 'usb' ? texts.plugged : row.convention, row.url].filter(Boolean).join(' · ');

function line(gateway, row) {
  const key = `${gateway}/${row.id}`;
  const known = row.profiles ?? [row.profile].filter(Boolean);
  const profile = make('select', { class: 'form-select', 'aria-label': texts.what },
    ...(known.length === 1 ? [] : [make('option', { value: '' }, texts.what)]), ...known.map((id) => make('option', { value: id }, page.titles[id] ?? id)));
  const sticker = make('input', { class: 'form-control', maxlength: 6, size: 6, placeholder: texts.sticker, 'aria-label': texts.sticker });
  const button = make('button', { type: 'button', class: 'btn btn-primary', disabled: known.length === 0, onclick: async () => {
    if (!profile.value) { profile.focus(); return; }
    button.disabled = true;
    try {
      const found = await call('/api/labs/adopt', { gateway, id: row.id, convention: row.convention, profile: profile.value, url: row.url, sticker: sticker.value.trim() }, texts, []);
      say(key, found.account ? fill(texts.account, found.account) : texts.sent);
    } catch (problem) {
      say(key, `${problem.title} ${problem.remedy || ''}`);
      button.disabled = false;
    }
  } }, texts.adopt);
  return make('li', { class: 'l-stranger', 'data-stranger': key }, make('div', {}, make('b', {}, row.id), make('div', { class: 'text-secondary' }, text(row))),
    profile, sticker, button, make('p', { class: 'l-said', role: 'status' }, said.get(key) ?? ''));
}

function say(key, words) {
  said.set(key, words);
  const place = document.querySelector(`[data-stranger="${CSS.escape(key)}"] .l-said`);
  if (place) place.textContent = words; else $('strangers-said').textContent = words;
}

function draw() {
  const rows = [...lists].flatMap(([gateway, list]) => list.map((row) => [gateway, row]));
  $('strangers').hidden = rows.length === 0 && !$('strangers-said').textContent;
  $('strangers-list').replaceChildren(...rows.map(([gateway, row]) => line(gateway, row)));
}

function heard(topic, payload) {
  const [, , gateway, what] = topic.split('/');
  if (what === 'strangers') {
    const list = JSON.parse(payload || '[]');
    if (JSON.stringify(list) === JSON.stringify(lists.get(gateway) ?? [])) return;
    lists.set(gateway, list);
    draw();
  } else if (what === 'adopted') {
    const answer = parsed(payload);
    const words = answer[document.documentElement.lang.startsWith('en') ? 'en' : 'zh'] ?? '';
    if (answer.ok) { $('strangers-said').textContent = words; draw(); } else { say(`${gateway}/${answer.id}`, words); }
  }
}

async function connect() {
  try {
    const { link } = await call(page.link, undefined, texts);
    openLink(link, heard, () => {}, () => setTimeout(connect, AGAIN_MS), ['zhike/gateway/+/strangers', 'zhike/gateway/+/adopted']);
    document.documentElement.dataset.ready = 'devices';
  } catch {
    setTimeout(connect, AGAIN_MS);
  }
}

connect();
