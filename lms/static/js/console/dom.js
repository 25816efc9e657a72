/** Small makers of elements; names only ever enter as text. */

const SPRITE = new URL('../../vendor/tabler/icons.svg', import.meta.url).pathname;

export const $ = (id) => document.getElementById(id);

/** `make('b', {class: 'x', title: '…'}, child, 'text')` */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === 'onclick') element.addEventListener('click', value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** An icon of the page's sprite: `#tabler-check`. */
export function icon(reference, size = 18) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('width', size);
  svg.setAttribute('height', size);
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', SPRITE + reference);
  svg.append(use);
  return svg;
}

export const fill = (text, values = {}) => text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);

/** Seconds as m:ss, without a sign. */
export function clockText(seconds) {
  const whole = Math.floor(Math.abs(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

/** Replace an element's children only where they differ, so that focus and pulsing survive a refresh. */
export function patch(parent, key, build) {
  if (parent.dataset.key === key) return;
  parent.dataset.key = key;
  parent.replaceChildren(...build());
}
