/** Messages at the lower edge: errors stay until closed or ten seconds, news four. */

import { $, icon, make } from './dom.js';

export function toast(title, remedy = '', kind = 'news') {
  const box = make('div', { class: `c-toast c-toast-${kind}`, role: kind === 'error' ? 'alert' : 'status' },
    make('div', {}, make('b', {}, title), remedy ? make('span', {}, remedy) : null));
  const close = make('button', { type: 'button', class: 'c-icon-button', 'aria-label': '×', onclick: () => box.remove() }, icon('#tabler-x'));
  box.append(close);
  const shelf = $('toasts');
  while (shelf.children.length > 2) shelf.firstChild.remove();
  shelf.append(box);
  setTimeout(() => box.remove(), kind === 'error' ? 10000 : 4000);
}

export const toastProblem = (problem) => toast(problem.title, problem.remedy, 'error');
