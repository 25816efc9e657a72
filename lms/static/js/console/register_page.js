/** The register's own page: the same lines as in the console, corrected until the record is written. */

import { call } from './api.js';
import { $ } from './dom.js';
import { drawRegister } from './register.js';
import { toastProblem } from './toast.js';

const page = JSON.parse($('register-data').textContent);

const desk = {
  ...page,
  url: `/api/lessons/${page.lesson}`,
  async act(button, path, body) {
    if (button) button.disabled = true;
    try {
      const answer = await call(`${desk.url}/${path}`, body, desk.texts);
      desk.state = answer;
      draw();
      return answer;
    } catch (problem) {
      toastProblem(problem);
      return null;
    } finally {
      if (button) button.disabled = false;
    }
  },
};

function draw() {
  drawRegister(desk, desk.state.pupils, $('register-lines'));
  for (const pupil of desk.state.pupils) {
    const cell = document.querySelector(`[data-paper="${pupil.person}"]`);
    if (cell) cell.textContent = desk.statuses[pupil.status];
  }
  const numbers = ['roster', 'present', 'leave', 'absent', 'late'].map((name) => desk.state.counts[name]);
  let index = 0;
  $('r-counts').textContent = $('r-counts').textContent.replace(/\d+/g, () => String(numbers[index++] ?? ''));
}

$('print').addEventListener('click', () => window.print());
if (page.editable) draw();
document.documentElement.dataset.ready = 'register';
