/** The lesson's steps: where we are, how long it has lasted, forwards and back. */

import { $, clockText, fill, icon, make, patch } from './dom.js';

export function layContent(desk) {
  const list = $('step-list');
  for (const step of desk.content.steps) {
    list.append(make('li', {}, make('button', { type: 'button', class: 'c-step-line', 'data-step': step.index, onclick: (event) => go(desk, step.index, event.currentTarget) },
      make('span', { class: 'c-step-number' }, String(step.index + 1)),
      make('span', { class: 'c-step-title' }, make('small', {}, step.phase), step.title),
      step.activity ? icon('#tabler-pencil', 16) : null,
      make('span', { class: 'c-step-minutes' }, fill(desk.texts.minutes, { n: step.minutes })))));
  }
  $('previous').addEventListener('click', (event) => go(desk, desk.state.lesson.step - 1, event.currentTarget));
  $('next').addEventListener('click', (event) => go(desk, desk.state.lesson.step + 1, event.currentTarget));
}

/** Push a step; outside the lesson's steps it does nothing. */
export function go(desk, step, button) {
  if (step < 0 || step >= desk.content.steps.length || step === desk.state.lesson.step) return Promise.resolve();
  return desk.act(button, 'step', { step });
}

export function drawSteps(desk) {
  const { steps } = desk.content;
  const index = desk.state.lesson.step;
  const step = steps[index];
  const live = ['running', 'paused'].includes(desk.state.lesson.state);
  for (const button of document.querySelectorAll('.c-step-line')) {
    const own = Number(button.dataset.step);
    button.classList.toggle('is-now', own === index);
    button.classList.toggle('is-past', own < index);
    button.toggleAttribute('aria-current', own === index);
  }
  desk.enable($('previous'), live && index > 0);
  desk.enable($('next'), live && index + 1 < steps.length);
  $('next-title').textContent = steps[index + 1]?.title ?? '';
  patch($('step-head'), `${index}`, () => (step
    ? [make('span', { class: 'c-step-phase' }, `${index + 1}/${steps.length} ${step.phase}`), make('b', {}, step.title), step.activity_title ? make('small', {}, icon('#tabler-pencil', 16), step.activity_title) : null].filter(Boolean)
    : [make('b', {}, desk.title)]));
  if ($('notes').dataset.step !== String(index)) {
    $('notes').dataset.step = String(index);
    $('notes').innerHTML = step?.teacher || ''; // cleaned markdown of the package, rendered by the server
    $('preview').innerHTML = step?.show || '';
    $('notes').scrollTop = 0;
    document.querySelector('.c-step-line.is-now')?.scrollIntoView({ block: 'nearest' });
  }
}

export function drawTimers(desk, now) {
  const { lesson } = desk.state;
  const step = desk.content.steps[lesson.step];
  const live = ['running', 'paused'].includes(lesson.state);
  const timer = $('step-timer');
  if (step && live) {
    const left = step.minutes * 60 - (now - Date.parse(lesson.step_at)) / 1000;
    timer.textContent = left >= 0 ? clockText(left) : fill(desk.texts.over, { t: clockText(left) });
    timer.classList.toggle('is-over', left < 0);
    timer.classList.toggle('is-short', left >= 0 && left < 60);
  } else timer.textContent = '';
  $('clock').textContent = new Date(now).toLocaleTimeString('zh-CN', { hour: '2-digit', minute: '2-digit', hour12: false });
  const toBell = (Date.parse(lesson.bell) - now) / 1000;
  $('bell').textContent = live ? fill(toBell >= 0 ? desk.texts.left_time : desk.texts.bell_over, { t: clockText(toBell) }) : desk.texts.ended;
  $('bell').classList.toggle('is-over', live && toBell < 0);
  $('bell').classList.toggle('is-short', live && toBell >= 0 && toBell < 300);
}
