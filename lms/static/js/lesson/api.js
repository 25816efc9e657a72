// The page's way to the server: JSON, CSRF token, one kind of error.

export class ApiError extends Error {
  /** `status` 0: the server was not reached. */
  constructor(status, body) {
    super(body?.title || `HTTP ${status}`);
    this.status = status;
    this.body = body || {};
  }

  /** Whether the same request may succeed later without anyone doing anything. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

const meta = () => document.querySelector('meta[name="csrf-token"]');

export function setToken(token) {
  if (token) meta().content = token;
}

async function once(method, url, body, timeout) {
  const options = { method, headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store" };
  options.signal = AbortSignal.timeout(timeout);
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    options.headers["X-CSRFToken"] = meta().content;
    options.body = JSON.stringify(body ?? {});
  }
  let answer;
  try {
    answer = await fetch(url, options);
  } catch {
    throw new ApiError(0, null);
  }
  const found = await answer.json().catch(() => null);
  if (!answer.ok || found === null) throw new ApiError(answer.ok ? 502 : answer.status, found);
  return found;
}

/** Call the server; a lapsed CSRF token is renewed once. Throws ApiError. */
export async function call(method, url, body, { timeout = 10000 } = {}) {
  try {
    return await once(method, url, body, timeout);
  } catch (error) {
    if (error.body?.code !== "csrf") throw error;
    setToken((await once("GET", "/api/lesson/token", null, timeout)).token);
    return once(method, url, body, timeout);
  }
}
