// Runs the pupil's Python away from the page, so that no loop can hang it. With a SharedArrayBuffer the program simply
// waits for the robot; without one (plain http) it awaits. Stop: an interrupt, then the page terminates the worker.
import { loadPyodide } from "/static/vendor/pyodide/pyodide.mjs";

const FLUSH_MS = 50;
let pyodide, door, control, numbers, interrupt, media;
let waiting = null;
let buffer = "";
let flushed = 0;

const ANSWERED = 1;
const STOPPED = 2;

const post = (message) => self.postMessage(message);

function flush() {
  if (buffer) post({ type: "out", text: buffer });
  buffer = "";
  flushed = performance.now();
}

/** Ask the page and sleep until it answers: [ok, number or undefined]. */
function callBlocking(op, one, two, three) {
  flush();
  if (Atomics.load(control, 1) === STOPPED) return [false, undefined];
  Atomics.store(control, 0, 0);
  post({ type: "call", op, args: [one, two, three] });
  Atomics.wait(control, 0, 0);
  if (Atomics.load(control, 0) === STOPPED || Atomics.load(control, 1) === STOPPED) return [false, undefined];
  return [true, Number.isNaN(numbers[0]) ? undefined : numbers[0]];
}

/** The same as a promise. */
function callAwaiting(op, one, two, three) {
  flush();
  post({ type: "call", op, args: [one, two, three] });
  return new Promise((resolve) => (waiting = resolve)).then(([ok, value]) => pyodide.toPy([ok, value ?? undefined]));
}

function fetchTable(name) {
  const request = new XMLHttpRequest();
  request.open("GET", `${media}media/${name}`, false);
  try {
    request.send();
  } catch {
    return undefined; // null would not be Python's None
  }
  return request.status === 200 ? request.responseText : undefined;
}

async function start(data) {
  media = data.media;
  if (data.shared) {
    control = new Int32Array(data.shared, 0, 2);
    numbers = new Float64Array(data.shared, 8, 1);
    interrupt = new Uint8Array(data.interrupt);
  }
  pyodide = await loadPyodide({ indexURL: "/static/vendor/pyodide/" });
  if (interrupt) pyodide.setInterruptBuffer(interrupt);
  door = {
    blocking: Boolean(control),
    call: control ? (...args) => pyodide.toPy(callBlocking(...args)) : callAwaiting,
    say: (text) => {
      flush();
      post({ type: "say", text });
    },
    out: (text) => {
      buffer += text;
      if (performance.now() - flushed > FLUSH_MS) flush();
    },
    flush,
    fetch: fetchTable,
  };
  const source = await (await fetch(new URL("robot.py.txt", import.meta.url))).text();
  pyodide.globals.set("_door", door);
  pyodide.runPython(source, { filename: "robot.py" });
  post({ type: "ready", blocking: door.blocking });
}

async function run({ program, checks }) {
  if (interrupt) interrupt[0] = 0;
  const given = pyodide.toPy(checks);
  let result;
  try {
    const runner = pyodide.globals.get(door.blocking ? "run_blocking" : "run_awaiting");
    const found = await runner(program, given);
    result = found.toJs({ dict_converter: Object.fromEntries });
    found.destroy();
  } catch (error) {
    const stopped = String(error).includes("KeyboardInterrupt");
    result = { error: { key: stopped ? "py-stopped" : "py-other", values: {}, line: 0, raw: stopped ? "" : String(error).slice(-300) }, checks: [] };
  }
  given.destroy();
  flush();
  post({ type: "done", result });
}

self.onmessage = ({ data }) => {
  if (data.type === "start") start(data).catch((error) => post({ type: "failed", text: String(error) }));
  if (data.type === "run") run(data);
  if (data.type === "answer") waiting?.([data.ok, data.value]);
};
