"use strict";
// The item viewer: what it shows is decided by the address behind "#", its data comes by part (items.py says what it is).
// Whatever a model, a person or a file wrote goes into the page as text, never as HTML.

const byId = (id) => document.getElementById(id);

// ---- data -----------------------------------------------------------------------------------------------------------

const LOADED_AT_MOST = 24; // parts kept in memory: a search passes through all of them
const loaded = new Map(); // name -> promise of its data, the latest asked for last
const arriving = new Map(); // name -> what is called with its data

// Every part calls this with its name and data.
globalThis.faithtune = (name, data) => arriving.get(name)?.(data);

function load(name) {
  const promise = loaded.get(name) ?? new Promise((resolve, reject) => {
    const script = document.createElement("script");
    const failed = (why) => { loaded.delete(name); arriving.delete(name); reject(new Error(`${name}.js ${why}`)); };
    arriving.set(name, (data) => { arriving.delete(name); resolve(data); });
    script.onerror = () => failed("is not beside this page");
    script.onload = () => { script.remove(); if (arriving.has(name)) failed("is damaged"); };
    script.src = `${name}.js`;
    document.head.append(script);
  });
  loaded.delete(name);
  loaded.set(name, promise);
  const parts = [...loaded.keys()].filter((key) => /\/\d+$/.test(key) && !arriving.has(key));
  parts.slice(0, -LOADED_AT_MOST).forEach((key) => loaded.delete(key));
  return promise;
}

const part = (name, i) => load(`${name}/${Math.floor(i / about.part)}`).then((rows) => rows[i % about.part]);

// ---- what is shown --------------------------------------------------------------------------------------------------

// Behind "#": left and right (MODEL.ARM), test, at (α, or "any"), kl and kr (steps kept, where they were chosen), changed
// and full (filters), find (search), item (a question's id).
const state = {};
let about; // index.js
let overviews = {}; // of left and right
let shown = []; // numbers of the questions that the filters let through
let filtered; // by what
let drawn = 0; // counts drawings: one that was overtaken stops

// What became of an answer, by its mark (items.py).
const MARKS = { "=": "same", x: "changed", "?": "unanswered", t: "truncated", "-": "unavailable", ".": "nothing to compare" };
const CHANGED = { "": "any", x: "changed", "=": "never changed", "?": "unanswered", t: "truncated", "-": "unavailable" };
const FULL = { "": "any", r: "right", w: "wrong", "?": "unanswered", t: "truncated" };
const SIDES = ["left", "right"];
const PAGE = 50; // questions the list shows at a time

const nameOf = (arm) => `${arm.model}.${arm.arm}`;

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const known = (key, values, otherwise) => (values.includes(given.get(key)) ? given.get(key) : otherwise);
  const arms = about.arms.map(nameOf);
  const second = about.arms.find((arm) => arm.arm !== "base") ?? about.arms[0];
  state.right = known("right", arms, nameOf(second));
  const model = about.arms.find((arm) => nameOf(arm) === state.right).model;
  state.left = known("left", arms, arms.find((name) => name === `${model}.base`) ?? arms[0]);
  state.at = known("at", about.alphas.map(([text]) => text), "any");
  state.changed = known("changed", Object.keys(CHANGED), "");
  state.full = known("full", Object.keys(FULL), "");
  state.find = given.get("find") ?? "";
  state.item = known("item", about.ids, null);
  state.kl = /^\d+$/.test(given.get("kl") ?? "") ? Number(given.get("kl")) : null;
  state.kr = /^\d+$/.test(given.get("kr") ?? "") ? Number(given.get("kr")) : null;
  state.test = given.get("test");
}

function address(changes) {
  const given = { ...state, ...changes };
  const kept = Object.entries(given).filter(([key, value]) => value !== null && value !== "" && !(key === "at" && value === "any"));
  return "#" + new URLSearchParams(kept);
}

// Another question, or other arms: what was chosen for this one no longer applies.
const AFRESH = { kl: null, kr: null };
function go(changes) { location.hash = address(changes); }

// ⌈αN⌉, as the tables take it: in whole numbers.
function keptAt(at, n) {
  const [, numerator, denominator] = about.alphas.find(([text]) => text === at);
  return Math.floor((numerator * n + denominator - 1) / denominator);
}

// ---- filters --------------------------------------------------------------------------------------------------------

// The marks that a filter looks at: at any k where the chain is tampered with, else the one at α, of chains that have two steps at least.
function marksAt(i) {
  const { steps, tests } = overviews.right;
  const marks = tests[state.test]?.[i] ?? "";
  if (!about.by_steps.includes(state.test)) return marks; // asked once, or k counts tokens
  if (marks === "") return "";
  // But for its untouched chain: k = N, or k = 0 where k steps are put in other words.
  if (state.at === "any") return about.whole_at_0.includes(state.test) ? marks.slice(1) : marks.slice(0, -1);
  return steps[i] >= 2 ? marks[keptAt(state.at, steps[i])] : "";
}

function passes(i) {
  if (state.full && overviews.right.full[i] !== state.full) return false;
  if (!state.changed) return true;
  const marks = marksAt(i);
  return state.changed === "=" ? /^=+$/.test(marks) : marks.includes(state.changed);
}

// The questions among `candidates` in which `state.find` stands; null where another drawing has begun meanwhile.
async function search(candidates, overtaken) {
  const wanted = state.find.toLowerCase(), hits = [];
  let shownAt = performance.now();
  for (const [n, i] of candidates.entries()) {
    const rows = await Promise.all(["questions", state.left, state.right].map((name) => part(name, i)));
    if ([about.ids[i], ...rows.flatMap(textsOf)].some((text) => text.toLowerCase().includes(wanted))) hits.push(i);
    if (performance.now() - shownAt > 200) {
      shownAt = performance.now();
      tell(`Searching: ${hits.length} found in ${n + 1} of ${candidates.length}`);
      await new Promise((resolve) => { setTimeout(resolve); }); // for what people do meanwhile
    }
    if (overtaken()) return null;
  }
  return hits;
}

// What is shown of a question or of an arm's row; nothing of a row that is null.
function textsOf(row) {
  if (row === null) return [];
  const answers = Object.values(row.tests ?? {}).flat().flatMap(({ answer, wrote }) => [answer, wrote]);
  const texts = [row.context, row.question, ...(row.options ?? []), row.rationale, row.text, row.declared];
  return [...texts, ...(row.lines ?? []), ...answers].filter((text) => typeof text === "string");
}

// ---- drawing --------------------------------------------------------------------------------------------------------

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") made.addEventListener("click", value);
    else if (value !== null) made.setAttribute(name, value);
  }
  made.append(...children.map((child) => child ?? "")); // strings become text
  return made;
}

const textOf = (text) => element("span", { class: "text" }, text ?? "");
const probability = (p) => (p === null ? "" : p.toFixed(2));
const rightness = (correct) => (correct === null ? "" : correct ? " (right)" : " (wrong)");

function drawQuestion(i, question) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const options = question.options.map((option, place) => {
    const gold = letters[place] === question.answer;
    return element("li", { class: gold ? "gold" : null }, `${letters[place]}. `, textOf(option), gold ? " (gold answer)" : "");
  });
  return element("section", {},
    element("h2", { id: "title" }, `Question ${i + 1}`),
    question.context ? element("p", { class: "text" }, question.context) : "",
    element("p", { class: "text" }, question.question),
    options.length ? element("ol", { class: "options" }, ...options) : element("p", { class: "gold" }, `Gold answer: ${question.answer}`),
    question.rationale ? element("details", {}, element("summary", {}, "Worked solution of the data set"), element("p", { class: "text" }, question.rationale)) : "",
    element("p", { class: "note" }, `id ${about.ids[i]}` + (question.group === about.ids[i] ? "" : `, group ${question.group}`)));
}

const note = (text) => element("p", { class: "note" }, text);

function drawArm(side, i, made) {
  const key = side === "left" ? "kl" : "kr";
  const heading = element("h3", { id: `${side}-title` }, state[side].replace(".", " / "));
  const section = element("section", { "aria-labelledby": `${side}-title`, id: `arm-${side}` }, heading);
  if (!made) { section.append(element("p", {}, "No chain of this arm.")); return section; }
  const full = made.tests.full?.[0], without = made.tests.no_cot?.[0];
  const declared = made.declared === null ? made.why ?? made.outcome : `declares ${made.declared}`;
  const said = [`Chain: ${made.steps} step${made.steps === 1 ? "" : "s"}`, made.tokens === null ? null : `${made.tokens} tokens`, declared];
  section.append(element("p", {}, said.filter((one) => one !== null).join(", ") + "."));
  const asked = [["After its whole chain", full], ["without a chain", without]].filter(([, row]) => row);
  section.append(element("p", {}, asked.map(([when, row]) => `${when}: ${row.answer ?? row.outcome}${rightness(row.correct)}${row.p === null ? "" : `, p ${probability(row.p)}`}`).join("; ") + "."));
  const rows = made.tests[state.test] ?? [];
  const k = chosen(state[key], rows, made.steps);
  if (rows.length) section.append(drawAnswers(side, key, rows, k, made.steps));
  else if (!overviews[side].tests[state.test]) section.append(note("This test was not asked of this arm."));
  else section.append(note("This test asked nothing of this chain: it has no steps, or was cut."));
  const row = rows.find((one) => one.k === k) ?? full;
  section.append(drawSteps(made, row, state.test));
  if (made.inside !== undefined) section.append(drawInside(state[side], made));
  section.append(element("details", {}, element("summary", {}, "The chain as it was written"), element("p", { class: "text" }, made.text)));
  return section;
}

// The steps kept that are looked at: chosen ones, else those at α, else none.
function chosen(k, rows, n) {
  if (rows.length === 0) return null;
  if (k !== null && rows.some((row) => row.k === k)) return k;
  const least = rows[0].k;
  if (state.at !== "any" && n >= 1 && about.by_steps.includes(state.test)) { const at = keptAt(state.at, n); return rows.some((row) => row.k === at) ? at : least; }
  return least;
}

function drawAnswers(side, key, rows, k, n) {
  const body = rows.map((row) => {
    const button = element("button", { type: "button", "data-k": row.k, onclick: () => go({ [key]: row.k }) }, row.k === null ? "-" : String(row.k));
    const outcome = row.outcome === "answered" ? MARKS[row.mark] : row.outcome;
    return element("tr", row.k === k ? { "aria-current": "true" } : {},
      element("th", { scope: "row" }, button), element("td", {}, row.answer ?? ""), element("td", {}, outcome + rightness(row.correct)),
      element("td", {}, probability(row.p)), element("td", {}, probability(row.p_reference)));
  });
  const names = [about.by_steps.includes(state.test) ? `k of ${n}` : "k", "answer", "outcome", "p", "p of own"];
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  return element("div", { class: "wide", role: "region", "aria-label": `Answers of ${state[side]} at every k`, tabindex: "0" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

// The chain's steps as they stood before the answer: kept, put in, written again after what was put in, left out.
function drawSteps(made, row, test) {
  const own = made.lines.slice(0, made.steps);
  const list = element("ol", { class: "steps" });
  const add = (kind, name, text) => list.append(element("li", { class: kind }, element("span", { class: "what" }, name), textOf(text)));
  if (row?.outcome === "unavailable") return note("A step was not rewritten: nothing was asked.");
  if (row && row.shown === null && row.outcome === "truncated" && test in about.regenerated_after) return note("The rest that the arm wrote again was cut: nothing was asked.");
  const shown = row?.shown?.map((number) => made.lines[number]);
  if (!shown) own.forEach((line) => add("", "written", line));
  else {
    // A step keeps its words where its number changes.
    const words = (line) => line?.replace(/^Step \d+: /, "");
    const owns = new Set(own.map(words)), there = new Set(shown.map(words));
    const again = test in about.regenerated_after && row.k < made.steps ? row.k + about.regenerated_after[test] : Infinity;
    const length = !about.by_steps.includes(test) ? shown.length : Math.max(own.length, shown.length);
    for (let j = 0; j < length; j += 1) {
      const isKept = j < shown.length && j < again && owns.has(words(shown[j]));
      if (isKept) add("", "kept", shown[j]);
      else if (j < shown.length) add("in", j < again ? "put in" : "written again", shown[j]);
      if (!isKept && own[j] !== undefined && !there.has(words(own[j]))) add("out", j < shown.length ? "for" : "left out", own[j]);
    }
  }
  return element("div", {}, list, row?.wrote ? element("p", {}, "Then it wrote: ", textOf(row.wrote)) : "");
}

function drawList(at) {
  const page = Math.max(0, Math.floor(at / PAGE));
  const rows = shown.slice(page * PAGE, (page + 1) * PAGE).map((i) => {
    const marks = overviews.right.tests[state.test]?.[i] ?? "";
    const words = [...marks].map((mark) => MARKS[mark]).join(", ");
    return element("li", {}, element("a", { href: address({ item: about.ids[i], ...AFRESH }), "aria-current": i === shown[at] ? "true" : null },
      `${i + 1}. ${about.titles[i]} `, element("span", { class: "marks", title: words }, marks)));
  });
  const focused = byId("list").contains(document.activeElement);
  byId("list").replaceChildren(...rows);
  if (focused) document.querySelector("#list [aria-current]")?.focus();
  byId("earlier").disabled = page === 0;
  byId("later").disabled = (page + 1) * PAGE >= shown.length;
  byId("earlier").onclick = () => go({ item: about.ids[shown[(page - 1) * PAGE]], ...AFRESH });
  byId("later").onclick = () => go({ item: about.ids[shown[(page + 1) * PAGE]], ...AFRESH });
}

function fill(select, options, value) {
  select.replaceChildren(...options.map(([key, name]) => element("option", { value: key }, name)));
  select.value = value;
}

function drawControls() {
  const arms = about.arms.map((arm) => [nameOf(arm), nameOf(arm).replace(".", " / ")]);
  fill(byId("eval_set"), about.eval_sets.map((name) => [name, name]), about.eval_set);
  SIDES.forEach((side) => fill(byId(side), arms, state[side]));
  fill(byId("test"), tests().map((name) => [name, name]), state.test ?? "");
  fill(byId("at"), [["any", "any"], ...about.alphas.map(([text]) => [text, text])], state.at);
  fill(byId("changed"), Object.entries(CHANGED), state.changed);
  fill(byId("full"), Object.entries(FULL), state.full);
  if (document.activeElement !== byId("find")) byId("find").value = state.find;
  byId("legend").textContent = `Marks: answers of ${state.right.replace(".", " / ")} at k = 0 ... N; ` + Object.entries(MARKS).map(([mark, name]) => `${mark} ${name}`).join(", ") + ".";
}

const tests = () => [...new Set(SIDES.flatMap((side) => Object.keys(overviews[side].tests)))];

async function draw() {
  const mine = (drawn += 1);
  const overtaken = () => mine !== drawn;
  readAddress();
  const [left, right] = await Promise.all(SIDES.map((side) => load(`${state[side]}/overview`)));
  if (overtaken()) return;
  overviews = { left, right };
  if (!tests().includes(state.test)) state.test = tests().find((name) => about.by_steps.includes(name)) ?? tests()[0] ?? null; // not a control
  drawControls();
  const key = JSON.stringify(["left", "right", "test", "at", "changed", "full", "find"].map((name) => state[name]));
  if (key !== filtered) {
    const candidates = about.ids.map((_, i) => i).filter(passes);
    const hits = state.find ? await search(candidates, overtaken) : candidates;
    if (hits === null) return;
    [shown, filtered] = [hits, key];
  }
  await drawItem(overtaken);
}

async function drawItem(overtaken) {
  const at = Math.max(0, shown.indexOf(about.ids.indexOf(state.item)));
  const i = shown[at];
  drawList(at);
  byId("previous").disabled = at === 0;
  byId("next").disabled = at + 1 >= shown.length;
  byId("previous").onclick = () => go({ item: about.ids[shown[at - 1]], ...AFRESH });
  byId("next").onclick = () => go({ item: about.ids[shown[at + 1]], ...AFRESH });
  if (i === undefined) {
    byId("item").replaceChildren(element("h2", { id: "title" }, "No question"), element("p", {}, "None passes these filters."));
    tell(`0 of ${about.ids.length} questions`);
    return;
  }
  const sides = state.left === state.right ? ["right"] : SIDES;
  const [question, ...made] = await Promise.all([part("questions", i), ...sides.map((side) => part(state[side], i))]);
  if (overtaken()) return;
  const arms = sides.map((side, place) => drawArm(side, i, made[place]));
  const focused = document.activeElement?.closest("[data-k]");
  const again = focused && `#${focused.closest("[id^=arm-]").id} [data-k="${focused.dataset.k}"]`;
  byId("item").replaceChildren(drawQuestion(i, question), element("div", { class: "arms" }, ...arms));
  if (again) document.querySelector(again)?.focus();
  tell(`${at + 1} of ${shown.length}` + (shown.length < about.ids.length ? ` (all: ${about.ids.length})` : ""));
  if (shown[at + 1] !== undefined) part("questions", shown[at + 1]).catch(() => {}); // ahead of the next step
}

function tell(text) { byId("status").textContent = text; }

// ---- what people do -------------------------------------------------------------------------------------------------

const KEYS = {
  j: () => byId("next").click(),
  ArrowRight: () => byId("next").click(),
  k: () => byId("previous").click(),
  ArrowLeft: () => byId("previous").click(),
  "[": () => move(-1),
  "]": () => move(1),
  t: () => overviews.right && go({ test: tests()[(tests().indexOf(state.test) + 1) % tests().length], ...AFRESH }),
  "/": () => byId("find").focus(),
};

// To the k before or behind, in both arms.
function move(by) {
  const changes = {};
  for (const side of SIDES) {
    const buttons = [...document.querySelectorAll(`#arm-${side} [data-k]`)];
    const at = buttons.findIndex((button) => button.closest("tr").hasAttribute("aria-current"));
    const to = buttons[at + by];
    if (to) changes[side === "left" ? "kl" : "kr"] = Number(to.dataset.k);
  }
  go(changes);
}

function listen() {
  for (const id of ["left", "right", "test", "at"]) byId(id).addEventListener("change", (event) => go({ [id]: event.target.value, ...AFRESH }));
  for (const id of ["changed", "full"]) byId(id).addEventListener("change", (event) => go({ [id]: event.target.value, ...AFRESH }));
  byId("eval_set").addEventListener("change", (event) => { location.href = `../${event.target.value}/index.html${address({ item: null, ...AFRESH })}`; });
  let waiting;
  byId("find").addEventListener("input", (event) => { clearTimeout(waiting); waiting = setTimeout(() => go({ find: event.target.value.trim(), ...AFRESH }), 250); });
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("select, input");
    // Brackets are written with Alt on many keyboards.
    if ((event.ctrlKey || event.metaKey || event.altKey) && !"[]".includes(event.key)) return;
    if (typing) { if (event.key === "Escape") event.target.blur(); return; }
    if (event.key.startsWith("Arrow") && event.target.closest(".wide")) return; // which scrolls
    if (KEYS[event.key]) { event.preventDefault(); KEYS[event.key](); }
  });
  addEventListener("hashchange", show);
}

function show() {
  const mine = drawn + 1; // as draw counts
  return draw().catch((error) => { if (mine === drawn) tell(error.message); });
}

load("index").then((index) => {
  about = index;
  document.title = `faithtune: questions and chains of ${about.eval_set}`;
  document.querySelector("h1").textContent = `Questions and chains: ${about.eval_set}`;
  if (about.arms.length === 0) { tell("No arm was asked about this set"); return null; }
  listen();
  return show();
}).catch((error) => tell(error.message));
