// The text of a notice in the editor: Ctrl+S saves and checks, errors are listed by line, a click goes there.
import { EditorState, EditorView, basicSetup, indentUnit, indentWithTab, keymap, yaml } from "/static/vendor/codemirror/codemirror.js";

const form = document.querySelector("#text-form");
const area = form.elements.text;
const status = document.querySelector("#saved");
const problems = document.querySelector("#problems");
const told = form.dataset;

const onSave = { key: "Mod-s", preventDefault: true, run: () => { save(); return true; } };
const view = new EditorView({ state: EditorState.create({ doc: area.value, extensions: [basicSetup, yaml(), indentUnit.of("  "), keymap.of([onSave, indentWithTab]), EditorView.lineWrapping, EditorView.editorAttributes.of({ class: "yaml-editor" }), EditorView.contentAttributes.of({ "aria-label": form.elements.file.value })] }) });
area.hidden = true;
area.after(view.dom);

function go(number) {
  const line = view.state.doc.line(Math.min(Math.max(number, 1), view.state.doc.lines));
  view.dispatch({ selection: { anchor: line.from, head: line.to }, effects: EditorView.scrollIntoView(line.from, { y: "center" }) });
  view.focus();
}

function show(found) {
  problems.replaceChildren();
  if (!found.length) return;
  const box = Object.assign(document.createElement("div"), { className: "alert alert-warning py-2" });
  box.setAttribute("role", "alert");
  const list = Object.assign(document.createElement("ul"), { className: "mb-0" });
  for (const one of found) {
    const item = document.createElement("li");
    const link = Object.assign(document.createElement("a"), { textContent: told.place.replace("{file}", one.file).replace("{line}", one.line) });
    link.href = `?file=${encodeURIComponent(one.file)}&line=${one.line}`;
    Object.assign(link.dataset, { file: one.file, line: one.line });
    item.append(link, `：${one.cause}`);
    list.append(item);
  }
  box.append(Object.assign(document.createElement("b"), { textContent: told.head.replace("#", found.length) }), list);
  problems.append(box);
}

let dirty = false;
let saving = false;

async function save() {
  if (saving) return;
  saving = true;
  const text = view.state.doc.toString();
  try {
    const answer = await fetch(location.pathname, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrf_token.value, Accept: "application/json" }, body: JSON.stringify({ file: form.elements.file.value, text, edition: Number(form.elements.edition.value) }) });
    const found = await answer.json();
    if (answer.ok) {
      form.elements.edition.value = found.edition;
      dirty = view.state.doc.toString() !== text;
      show(found.problems);
      status.textContent = found.problems.length ? told.wrong : told.saved;
    } else {
      status.textContent = `${found.title} ${found.remedy ?? ""}`;
    }
  } catch {
    status.textContent = told.failed;
  } finally {
    saving = false;
  }
}

form.addEventListener("submit", (event) => { event.preventDefault(); save(); });
view.contentDOM.addEventListener("input", () => { dirty = true; status.textContent = ""; });
problems.addEventListener("click", (event) => {
  const link = event.target.closest("[data-line]");
  if (!link || link.dataset.file !== form.elements.file.value) return;
  event.preventDefault();
  go(Number(link.dataset.line));
});
window.addEventListener("beforeunload", (event) => dirty && event.preventDefault());
if (told.line) go(Number(told.line));
