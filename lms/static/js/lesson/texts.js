// Sentences of the page in the pupil's language; the server sends them with the page.
let texts = {};

export function setTexts(found) {
  texts = found;
}

/** The sentence `key` with %(name)s filled in. */
export function t(key, values = {}) {
  return (texts[key] ?? key).replace(/%\((\w+)\)s/g, (_, name) => String(values[name] ?? ""));
}

export function allTexts() {
  return texts;
}
