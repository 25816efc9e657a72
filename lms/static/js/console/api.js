/** Calls to the server: JSON, CSRF, problems with a remedy, safe retries (every call is idempotent). */

const token = () => document.querySelector('meta[name="csrf-token"]').content;
const RETRY_MS = [400, 1200, 3000];
const TIMEOUT_MS = 8000;

/** What went wrong, in words for the teacher. `status` 0: the server was not reached. */
export class Problem extends Error {
  constructor(status, title, remedy = '', code = '') {
    super(title);
    Object.assign(this, { status, title, remedy, code });
  }
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function once(url, body) {
  const options = { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(TIMEOUT_MS) };
  if (body !== undefined) {
    options.method = 'POST';
    options.body = JSON.stringify(body);
    Object.assign(options.headers, { 'Content-Type': 'application/json', 'X-CSRFToken': token() });
  }
  const response = await fetch(url, options);
  const kind = response.headers.get('Content-Type') || '';
  const data = kind.includes('json') ? await response.json() : {};
  if (!response.ok) throw new Problem(response.status, data.title || String(response.status), data.remedy, data.code);
  return data;
}

/** GET without `body`, POST with one. Network trouble and 5xx are tried again, a refusal never. */
export async function call(url, body, texts = {}, retries = RETRY_MS) {
  for (let turn = 0; ; turn += 1) {
    try {
      return await once(url, body);
    } catch (error) {
      const refused = error instanceof Problem && error.status < 500;
      if (refused || turn >= retries.length) {
        throw error instanceof Problem ? error : new Problem(0, texts.failed || '', texts.retry || '');
      }
      await pause(retries[turn]);
    }
  }
}

/** A random UUID, also over plain http, where crypto.randomUUID is missing. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
