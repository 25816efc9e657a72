/** The blurred preview of a camera's page: asked for, shown while it comes, gone after its minute. Nothing is kept. */

import { call } from '../console/api.js';
import { $, fill } from '../console/dom.js';

const PATIENCE_S = 6;

/** Returns `hear(topic, text)`, which takes the camera's pictures. `live()`: whether the line to the broker stands. */
export function previewOf({ room, own, texts }, live) {
  const [button, picture, none, said] = ['preview-on', 'preview', 'preview-none', 'preview-said'].map($);
  let over = 0; // when the preview ends, ms
  let came = false;

  function end(text) {
    over = 0;
    picture.hidden = true;
    picture.removeAttribute('src');
    none.hidden = false;
    button.disabled = false;
    said.textContent = text;
  }

  function tick() {
    if (!over) return;
    const left = Math.ceil((over - Date.now()) / 1000);
    if (left <= 0) end(came ? texts.preview_over : texts.preview_none);
    else said.textContent = came ? fill(texts.preview_left, { n: left }) : left < 60 - PATIENCE_S ? texts.preview_none : texts.preview_wait;
  }

  button.addEventListener('click', async () => {
    if (!live()) { said.textContent = texts.preview_offline; return; }
    button.disabled = true;
    came = false;
    said.textContent = texts.preview_wait;
    try {
      const { seconds } = await call(`/api/labs/devices/${own.id}/preview`, {}, texts);
      over = Date.now() + seconds * 1000;
    } catch (problem) {
      end(`${problem.title} ${problem.remedy || ''}`);
    }
  });
  // Who leaves the page does not look any more.
  window.addEventListener('pagehide', () => { if (over) call(`/api/labs/devices/${own.id}/preview`, { off: true }, texts).catch(() => {}); });
  setInterval(tick, 500);

  return (topic, text) => {
    if (topic !== `zhike/room/${room}/preview/${own.homie}` || !over) return;
    try {
      picture.src = `data:image/jpeg;base64,${JSON.parse(text).jpeg}`;
    } catch { return; }
    came = true;
    picture.hidden = false;
    none.hidden = true;
  };
}
