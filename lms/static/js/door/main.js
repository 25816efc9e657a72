/** The pupils' door: tap a name, tap the PIN, in. Polls until a class may come in, and moves on by itself. */

const $ = (id) => document.getElementById(id);
const door = $('door');
const texts = JSON.parse($('door-data').textContent);
const token = document.querySelector('meta[name="csrf-token"]').content;
const POLL_MS = 2500;

const field = $('pin');
let parts = [];
let pictures = false;
let busy = false;

/** Watches the door's version; a page in which someone is typing is left alone until the typing ends. */
async function watch() {
  let wait = POLL_MS + Math.random() * 1000;
  try {
    const response = await fetch(door.dataset.state, { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(6000) });
    const { version } = await response.json();
    $('offline').hidden = true;
    if (version !== door.dataset.version && !busy && (parts.length === 0 || $('pad')?.hidden)) {
      const chosen = $('pad') && !$('pad').hidden ? `?who=${$('person').value}` : ''; // who has just tapped a name need not tap it again
      location.replace(`/seat${chosen}`);
      return;
    }
  } catch {
    $('offline').hidden = false;
    wait = 4000;
  }
  setTimeout(watch, wait);
}

function drawDots() {
  const need = Number(pictures ? $('dots').dataset.pictures : $('dots').dataset.pin);
  $('dots').replaceChildren(...Array.from({ length: need }, (_, index) => {
    const dot = document.createElement('i');
    if (index < parts.length) dot.className = 'is-set';
    return dot;
  }));
  return need;
}

function choose(link) {
  $('person').value = link.dataset.person;
  $('pad-name').textContent = link.dataset.name;
  pictures = link.dataset.pictures === '1';
  parts = [];
  $('digits').hidden = pictures;
  $('picture-keys').hidden = !pictures;
  $('error').hidden = true;
  $('names').hidden = true;
  $('ask').hidden = true;
  $('pad').hidden = false;
  drawDots();
  field.focus();
}

function leave() {
  parts = [];
  $('pad').hidden = true;
  $('names').hidden = false;
  $('ask').hidden = false;
}

function press(key) {
  if (busy) return;
  if (key === 'back') parts.pop();
  else if (key === 'clear') parts = [];
  else parts.push(key);
  $('error').hidden = true;
  if (parts.length >= drawDots()) send();
}

function complain(title, remedy = '') {
  const bold = document.createElement('b');
  bold.textContent = title;
  $('error').replaceChildren(bold, ` ${remedy}`);
  $('error').hidden = false;
  parts = [];
  drawDots();
  $('pad').classList.remove('is-wrong');
  requestAnimationFrame(() => $('pad').classList.add('is-wrong'));
  field.focus();
}

async function send() {
  busy = true;
  $('pad').setAttribute('aria-busy', 'true');
  try {
    const response = await fetch($('sign-in').action, {
      method: 'POST',
      headers: { Accept: 'application/json', 'Content-Type': 'application/json', 'X-CSRFToken': token },
      body: JSON.stringify({ person: $('person').value, pin: parts.join(pictures ? '-' : '') }),
      signal: AbortSignal.timeout(10000),
    });
    const answer = await response.json();
    if (response.ok) { location.replace(answer.next); return; }
    if (response.status === 404 || answer.code === 'csrf') { location.replace('/seat'); return; }
    complain(answer.title || texts.wrong, answer.remedy);
  } catch {
    complain(texts.offline);
  }
  busy = false;
  $('pad').removeAttribute('aria-busy');
}

if ($('names')) {
  for (const link of $('names').children) link.addEventListener('click', (event) => { event.preventDefault(); choose(link); });
  $('back').addEventListener('click', (event) => { event.preventDefault(); leave(); });
  $('go').hidden = true; // the last digit sends
  field.classList.add('visually-hidden');
  for (const button of document.querySelectorAll('[data-key]')) button.addEventListener('click', () => { press(button.dataset.key); field.focus(); });
  $('sign-in').addEventListener('submit', (event) => event.preventDefault());
  field.addEventListener('input', () => { field.value = ''; });
  document.addEventListener('keydown', (event) => {
    if ($('pad').hidden || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^[0-9]$/.test(event.key) && !pictures) press(event.key);
    else if (event.key === 'Backspace') press('back');
    else if (event.key === 'Escape') leave();
    else return;
    event.preventDefault();
  });
  const chosen = [...$('names').children].find((link) => link.dataset.person === $('person').value);
  const error = [...$('error').childNodes].map((node) => node.textContent).join(' ').trim();
  if (chosen) { choose(chosen); if (error) complain(error); }
}

/** A pupil who signed in before the bell goes in when the teacher opens the lesson. */
if ($('enter')) $('enter').submit();

watch();
document.documentElement.dataset.ready = 'door';
