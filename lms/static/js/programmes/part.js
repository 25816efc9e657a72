// Filling in one part: live 字数 as Word counts (words.py says how), autosave, a conflict shown for the person to decide.
const form = document.querySelector("#part-form");
const kind = form.dataset.type;
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{20000}-\u{3fffd}“”‘’…—·‖′″℃№①②③④⑤⑥⑦⑧⑨⑩]/u;
const MARK = new RegExp("\\p{Mn}", "u"); // its table follows the browser

function words(text) {
  let found = 0;
  let inRun = false;
  for (const one of text) {
    if (/[\s\u200b\ufeff]/u.test(one)) inRun = false;
    else if (WIDE.test(one)) { found += 1; inRun = false; }
    else if (!MARK.test(one)) { if (!inRun) found += 1; inRun = true; }
  }
  return found;
}

const fields = () => [...form.querySelectorAll("[name^='value']")];

function read() {
  if (kind === "text") return form.elements.value.value;
  if (kind === "choices") return fields().filter((one) => one.checked).map((one) => one.value);
  if (kind !== "table") return Object.fromEntries(fields().map((one) => [one.name.slice(6), one.value]));
  return [...form.querySelectorAll("tbody tr")].map((row) => Object.fromEntries([...row.querySelectorAll("[name]")].map((one) => [one.name.split(".").slice(2).join("."), one.value])));
}

function own() {
  const given = read();
  if (typeof given === "string") return words(given);
  const texts = Array.isArray(given) ? given.flatMap((one) => (typeof one === "string" ? [one] : Object.values(one))) : Object.values(given);
  const numbers = kind === "answers" ? texts.filter((one) => one.trim()).length : 0; // each answer is printed behind its number
  return texts.reduce((sum, one) => sum + words(one), numbers);
}

const count = document.querySelector("#count");
const others = count ? Number(count.dataset.count) - own() : 0;

function show() {
  if (count) {
    const most = Number(count.dataset.most);
    const now = others + own();
    count.querySelector("b").textContent = now;
    count.className = now > most ? "count-over" : now * 100 >= most * 95 ? "count-near" : "count-fine";
  }
  for (const one of document.querySelectorAll("[data-must]")) one.classList.toggle("is-there", form.elements.value.value.includes(one.dataset.must));
}
form.addEventListener("input", show);

const status = document.querySelector("#saved");
const clash = document.querySelector("#clash");
let edition = form.elements.edition;
let timer = 0;
let saving = false;
let theirs = null;
let dirty = false;

async function save() {
  if (saving || theirs) return;
  saving = true;
  dirty = false;
  status.textContent = status.dataset.saving;
  try {
    const answer = await fetch(location.pathname, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": form.elements.csrf_token.value, Accept: "application/json" }, body: JSON.stringify({ value: read(), edition: Number(edition.value) }) });
    const told = await answer.json();
    if (answer.ok) {
      edition.value = told.edition;
      status.textContent = status.dataset.saved;
    } else if (told.code === "conflict") {
      theirs = told;
      clash.querySelector("b").textContent = told.title;
      clash.querySelector("span").textContent = typeof told.theirs === "string" ? told.theirs : "";
      clash.hidden = false;
      status.textContent = "";
      dirty = true;
    } else {
      status.textContent = `${told.title} ${told.remedy ?? ""}`;
      dirty = true; // typing on tries again; leaving is warned of
    }
  } catch {
    status.textContent = status.dataset.failed;
    dirty = true;
    timer = setTimeout(save, 5000);
  } finally {
    saving = false;
  }
}

/** What was typed is saved as soon as the typing rests; while a slow save is under way, after it. */
function later() {
  dirty = true;
  clearTimeout(timer);
  timer = setTimeout(() => (saving ? later() : save()), 1500);
}

if ("autosave" in form.dataset && status) {
  form.addEventListener("input", later);
  form.addEventListener("submit", () => { dirty = false; clearTimeout(timer); });
  addEventListener("beforeunload", (event) => { if (dirty) event.preventDefault(); });
  clash.querySelector("[data-keep-mine]").addEventListener("click", () => {
    edition.value = theirs.edition;
    theirs = null;
    clash.hidden = true;
    save();
  });
  clash.querySelector("[data-merge]").addEventListener("click", () => form.requestSubmit()); // the server shows both side by side
  const take = clash.querySelector("[data-take-theirs]");
  take.addEventListener("click", () => {
    if (!confirm(take.dataset.sure)) return;
    dirty = false;
    location.reload();
  });
  const add = form.querySelector("[data-add-row]");
  if (add) {
    const body = form.querySelector("tbody");
    const next = () => Math.max(-1, ...[...body.querySelectorAll("[name]")].map((one) => Number(one.name.split(".")[1]))) + 1;
    add.hidden = false;
    add.addEventListener("click", () => {
      const row = body.lastElementChild.cloneNode(true);
      const number = next();
      for (const one of row.querySelectorAll("[name]")) {
        const column = one.name.split(".").slice(2).join(".");
        one.name = one.id = `value.${number}.${column}`;
        one.value = "";
      }
      body.append(row);
      row.querySelector("[name]").focus();
    });
    for (const one of body.querySelectorAll("[data-remove-row]")) one.hidden = false;
    body.addEventListener("click", (event) => {
      const button = event.target.closest("[data-remove-row]");
      if (!button) return;
      if (body.children.length > 1) button.closest("tr").remove();
      else for (const one of body.querySelectorAll("[name]")) one.value = "";
      form.dispatchEvent(new Event("input"));
    });
  }
}
