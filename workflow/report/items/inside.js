"use strict";
// What probes found inside an arm at a question (inside.py says what it is): what the answer needs to see, step by step,
// where its attention goes, and from where on it is decided.

const CUTS = { knockout: "hidden from the answer", removal: "deleted" };
const CUT_PARTS = { chain: "chain so far", random_chain: "random, as many", question: "question", random_question: "random, as many" };
const PART_NAMES = {
  first: "first token", template: "marks of turns", prompt: "rest of the prompt", question: "question", before: "just before the chain",
  cue: "the words that ask for the answer",
};
const NUMBERS = {
  js: "The number: how far the options' probabilities move (Jensen-Shannon divergence; 0.00 not at all, 0.69 at most).",
  log_p: "The number: change of the log-probability of the arm's final answer (0.00 none, −2.30 a tenth as likely).",
};

let folded = false; // as people last left it, here or at another question

function drawInside(arm, made) {
  const fold = element("details", { class: "inside" }, element("summary", {}, "Inside: what the answer needs, where it is decided"));
  fold.open = !folded;
  fold.addEventListener("toggle", () => {
    folded = !fold.open;
    document.querySelectorAll("details.inside").forEach((other) => { other.open = fold.open; });
  });
  const found = made.inside;
  if (found === null) fold.append(note("Nothing was looked at here: it is not among the first questions, or has no chain and answer."));
  if (found?.cuts) fold.append(...drawCuts(arm, found));
  if (found?.parts) fold.append(...drawParts(arm, made));
  return fold;
}

const scrolled = (label, ...rows) => element("div", { class: "wide", role: "region", "aria-label": label, tabindex: "0" }, element("table", {}, ...rows));
const signed = (number) => number.toFixed(2).replace("-", "−").replace(/^−(0\.00)$/, "$1");

function drawCuts(arm, { cuts, number }) {
  const columns = Object.keys(CUTS).flatMap((kind) => Object.entries(cuts[kind]).map(([name, cells]) => ({ kind, name, cells })));
  const above = Object.entries(CUTS).map(([kind, words]) => element("th", { scope: "colgroup", colspan: Object.keys(cuts[kind]).length }, words));
  const names = columns.map(({ name }) => element("th", { scope: "col", class: name.startsWith("random") ? "control" : null }, CUT_PARTS[name]));
  const rows = columns[0].cells.map((_, j) => element("tr", {}, element("th", { scope: "row" }, String(j + 1)),
    ...columns.map(({ name, cells: { [j]: [mark, value] } }) => element("td", { class: mark === "x" ? "changed" : name.startsWith("random") ? "control" : null },
      element("b", {}, MARKS[mark]), value === null ? "" : ` ${signed(value)}`))));
  const n = rows.length;
  return [element("h4", {}, "What the answer needs to see"),
    note("The arm answers after its first k steps; does the answer change if it cannot see a part, or if the part is deleted? " +
      `${NUMBERS[number] ?? ""} Random: as many tokens of question, prompt and chain are hidden; a part matters as far as hiding it does more.`),
    scrolled(`What the answer of ${arm} needs to see`,
      element("thead", {}, element("tr", {}, element("th", { scope: "col", rowspan: "2" }, `k of ${n}`), ...above), element("tr", {}, ...names)),
      element("tbody", {}, ...rows))];
}

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

function drawParts(arm, made) {
  const { parts, layers } = made.inside;
  const attended = parts.some(([, , , share]) => share !== null), read = parts.some(([, , , , p]) => p !== null);
  const first = parts.find(([name]) => name === "first")?.[3] ?? 0;
  const whole = made.tests.full?.[0]?.shown ?? [...Array(made.steps).keys()];
  const names = ["part of the text", ...(attended ? ["attention", "tokens"] : []), ...(read ? ["p of the answer", "decided in layer"] : [])];
  const rows = parts.filter(([name]) => name !== "first").map(([name, k, tokens, share, p, layer]) => {
    const line = made.lines[whole[k - 1]] ?? ""; // which may say its number
    const what = name === "step" ? element("th", { scope: "row", class: "step" }, `step ${k} `, element("span", { class: "text" }, line.replace(`Step ${k}: `, ""))) : element("th", { scope: "row" }, PART_NAMES[name]);
    const cells = attended ? [drawShare(share === null ? null : share / (1 - first)), element("td", {}, tokens === null ? "" : String(tokens))] : [];
    if (read) cells.push(element("td", {}, probability(p)), element("td", {}, p === null ? "" : layer === null ? "none" : String(layer)));
    return element("tr", {}, what, ...cells);
  });
  const said = [];
  if (attended) {
    said.push(`Attention of the last token before the answer, mean over layers and heads; the first token draws ${percent(first)}, whatever it is, and shares are of the rest.` +
      " Descriptive: it does not say what is used, and longer parts draw more.");
  }
  if (read) {
    said.push("p of the answer: how likely the network, at the end of the part, predicts the arm's final answer. Decided in layer: from there to the last," +
      ` ${layers}, the final answer is the likeliest; none: not even in the last.`);
  }
  return [element("h4", {}, read ? attended ? "Where the answer looks, and where it is decided" : "Where the answer is decided" : "Where the answer looks"), ...said.map(note),
    scrolled(`Attention and decision of ${arm}, by part of the text`,
      element("thead", {}, element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)))), element("tbody", {}, ...rows))];
}

// A share with a bar beside it, which only pictures the number.
function drawShare(share) {
  if (share === null) return element("td");
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${6 * share}rem`; // allowed here, where an attribute in HTML is not
  return element("td", { class: "share" }, element("span", {}, percent(share)), bar);
}
