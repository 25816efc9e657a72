// What stays on this computer until the server has it: unsent answers and drafts. Never a PIN, never a name.
// Keys: zhike:<person id>:<lesson id>:<kind>:<name>. What other pupils left here is forgotten after a day.
const PREFIX = "zhike:";
const DAY_MS = 24 * 3600 * 1000;

export class Keep {
  constructor(person, lesson) {
    this.person = person;
    this.base = `${PREFIX}${person}:${lesson}:`;
  }

  get(name) {
    return parse(localStorage.getItem(this.base + name));
  }

  /** Returns false where the browser's store is full or closed: then only this page holds the work. */
  set(name, value) {
    try {
      localStorage.setItem(this.base + name, JSON.stringify({ ...value, at: Date.now() }));
      return true;
    } catch {
      return false;
    }
  }

  remove(name) {
    localStorage.removeItem(this.base + name);
  }

  names(prefix) {
    return keys(this.base + prefix).map((key) => key.slice(this.base.length));
  }

  /** Everything of this pupil, every lesson: names below the person's own prefix. */
  ofPerson(kind) {
    const mine = `${PREFIX}${this.person}:`;
    return keys(mine).filter((key) => key.split(":")[3] === kind).map((key) => ({ key, lesson: key.split(":")[2], value: parse(localStorage.getItem(key)) }));
  }

  /** After the last answer was saved nothing of this pupil stays behind. */
  forgetPerson() {
    keys(`${PREFIX}${this.person}:`).forEach((key) => localStorage.removeItem(key));
  }

  forgetOthers() {
    for (const key of keys(PREFIX)) {
      const value = parse(localStorage.getItem(key));
      if (!key.startsWith(`${PREFIX}${this.person}:`) && !(value?.at > Date.now() - DAY_MS)) localStorage.removeItem(key);
    }
  }
}

function keys(prefix) {
  const found = [];
  for (let index = 0; index < localStorage.length; index++) {
    const key = localStorage.key(index);
    if (key.startsWith(prefix)) found.push(key);
  }
  return found;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
