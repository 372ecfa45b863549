"use strict";
// Answers are sent and stored before what they are of leaves the screen: what one sees gone is safe.
const KEYS = {
  grid: [["\u2190 \u2191 \u2192 \u2193", "move"], ["space", "reject, or not"], ["1-9", "reject, with a reason"], ["z", "look closely"], ["enter", "keep the rest"], ["backspace", "back a sheet"]],
  single: [["\u2192", "keep"], ["\u2190", "reject"], ["1-9", "reject, with a reason"], ["z", "look closely"], ["backspace", "the one before"]],
  captions: [["ctrl enter", "save"], ["esc", "leave the text"], ["z", "look closely"], ["backspace", "the one before"]],
};
const LONGEST = Number(byId("caption").dataset.longest); // characters of a caption
const AHEAD = 4; // pictures that are loaded and decoded before they are needed
const IDLE = 30000; // ms; who looks longer than that was away, for the pace
let desk = null;
let at = null; // the pass and whether it is its disagreements: {name, page, ruling, reasons}
let queue = []; // looks to answer
let answered = []; // looks that were answered, the newest last
let sheet = []; // the looks of the grid that are on the screen
let marks = []; // their choice and reason
let place = 0; // which of them has the keys
let wanted = { concept: "", score: "", low: 0, high: 0, rater: 0 };
let visit = 0; // of a pass, or of the list of passes: what was asked for in an earlier one comes too late
let refilling = null;
let counts = { answered: 0, left: 0, waits: "" };
const pace = { pictures: 0, ms: 0 };

// ---- pictures, loaded ahead and kept no longer than needed

const load = (look, size) => ahead(`${size} ${look.id}`, () => fetched(`/${size}/${look.id}`));

async function fetched(address) {
  return await picture(address, "A picture to look at") ?? make("p", "This picture is gone, or cannot be shown.");
}

// ---- passes

async function open() {
  const mine = ++visit;
  const reply = await post("/desk", {});
  if (!reply || mine !== visit) return;
  desk = reply;
  const entries = desk.passes.flatMap((one) => [{ ...one, ruling: false }, ...(one.arbiter && one.page !== "captions" ? [{ ...one, ruling: true }] : [])]);
  byId("passes").replaceChildren(...entries.map((one) => {
    const button = make("button", "", { type: "button" });
    const what = one.ruling ? "Where raters differ, you decide." : { grid: "Many at once: reject the mediocre.", single: "One at a time: keep only the best you have ever seen.", captions: "Write or correct the captions." }[one.page];
    const done = one.ruling ? `${grouped(one.disputed)} open` : `${grouped(one.decided)} of ${grouped(one.came)} decided, ${grouped(one.stay)} stay`;
    button.append(make("b", one.ruling ? `${one.name}: disagreements` : one.name), make("i", done), make("span", `${what} ${one.ruling ? "" : sentence(one.rule)}`));
    if (!one.ruling && one.waits) button.append(make("span", sentence(one.waits)));
    button.addEventListener("click", () => {
      window.history.pushState({ pass: one.name, ruling: one.ruling }, ""); // so that the browser's way back leads to the passes
      enter(one);
    });
    return button;
  }));
  if (!entries.length) byId("passes").append(make("p", "You are invited to no pass of this review."));
  byId("guideline").replaceChildren(...desk.guideline.flatMap((one) => [make("h2", one.title), ...one.lines.map((line) => make("p", line))]));
  byId("concept").replaceChildren(make("option", "any", { value: "" }), ...desk.concepts.map((name) => make("option", name, { value: name })));
  byId("score").replaceChildren(make("option", "any", { value: "" }), ...Object.keys(desk.scores).map((name) => make("option", name, { value: name })));
  screen("home");
  const here = window.history.state; // after a reload
  const one = entries.length === 1 ? entries[0] : entries.find((entry) => entry.name === here?.pass && entry.ruling === here.ruling);
  if (one) enter(one);
}

function home() {
  if (window.history.state?.pass) window.history.back();
  else open();
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}

async function enter(one) {
  visit += 1;
  Object.assign(pace, { pictures: 0, ms: 0 });
  at = { name: one.name, page: one.ruling ? "single" : one.page, ruling: one.ruling, reasons: one.reasons };
  const raters = one.ruling ? one.raters : [];
  wanted.rater = 0;
  byId("rater").replaceChildren(make("option", "any", { value: "0" }), ...raters.map((number) => make("option", `rater ${number}`, { value: String(number) })));
  byId("of-rater").hidden = !raters.length;
  byId("filter").hidden = !desk.concepts.length && !Object.keys(desk.scores).length && !raters.length;
  byId("part").textContent = one.ruling ? `${one.name}: disagreements` : one.name;
  for (const row of document.querySelectorAll("[data-reasons]")) {
    row.replaceChildren(...at.reasons.map((reason, i) => {
      const button = make("button", reason, { type: "button" });
      button.append(make("kbd", String(i + 1)));
      button.addEventListener("click", (event) => { if (event.detail < 2) because(i); });
      return button;
    }));
  }
  listKeys("keys", KEYS[at.page]);
  byId("grid-hint").textContent = matchMedia("(hover: none)").matches ? "Touch a picture to reject it." : "Press space or click a picture to reject it.";
  await begin();
}

async function begin() {
  busy = true;
  queue = [];
  answered = [];
  loaded.clear();
  const mine = visit;
  await patiently(refill());
  if (mine === visit) await next();
}

// The looks that are open, but for those answered since they were asked for.
async function refill() {
  const mine = visit;
  const reply = await post("/hand", { of: at.name, ruling: at.ruling, ...wanted });
  if (!reply || mine !== visit) return false;
  const done = new Map(answered.map((look) => [look.id, look]));
  queue = reply.open.filter((look) => !done.has(look.id));
  if (!answered.length) answered = reply.before;
  counts = { answered: reply.answered, left: reply.left, waits: reply.waits };
  progress();
  return true;
}

function refillAhead(few) {
  if (queue.length >= few || queue.length >= counts.left || refilling) return;
  const asked = visit;
  refilling = post("/hand", { of: at.name, ruling: at.ruling, ...wanted }).then((reply) => {
    refilling = null;
    if (!reply || asked !== visit) return;
    const known = new Set([...answered, ...queue, ...sheet].map((look) => look.id));
    queue.push(...reply.open.filter((look) => !known.has(look.id)));
    counts.left = reply.left;
    loadAhead();
  });
}

function progress() {
  const total = counts.answered + counts.left;
  showProgress(counts.answered, total);
  const rate = pace.ms ? (60000 * pace.pictures) / pace.ms : 0;
  const left = rate ? counts.left / rate : 0;
  const time = left >= 90 ? `${Math.round(left / 60)} h left` : `${Math.max(1, Math.round(left))} min left`;
  byId("pace").textContent = rate && pace.pictures >= 5 ? `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a minute${counts.left ? `, ${time}` : ""}` : "";
  byId("back").disabled = !answered.length;
}

async function next() {
  const mine = visit;
  if (!queue.length && refilling) await refilling;
  if (mine !== visit) return;
  if (!queue.length && !(await refill())) return;
  if (!queue.length) return end();
  if (at.page === "grid") await showSheet(queue.splice(0, room()));
  else await showOne(queue[0]);
}

function loadAhead() {
  if (at.page === "grid") queue.slice(0, room()).forEach((look) => load(look, "small"));
  else queue.slice(1, 1 + AHEAD).forEach((look) => load(look, "picture"));
}

function end() {
  busy = false;
  announce("Nothing is left here.");
  byId("end-text").textContent = wanted.concept || wanted.score || wanted.rater
    ? "Nothing that passes the filter is waiting for you."
    : at.ruling ? "No disagreement is waiting for you." : `No picture is waiting for you in this pass.${counts.waits ? ` ${sentence(counts.waits)} They wait for others.` : ""}`;
  screen("end");
  byId("again").focus();
}

// ---- many at once

function room() {
  const scrolls = matchMedia("(max-height: 22rem)").matches; // zoomed to 400 %: see the sheet
  const box = byId("sheet").getBoundingClientRect();
  const width = box.width || innerWidth - 40;
  const height = box.height || innerHeight - 170;
  const columns = Math.max(2, Math.min(8, Math.floor(width / 190)));
  const rows = Math.max(2, Math.min(6, scrolls ? 2 : Math.floor(height / 170)));
  byId("sheet").style.setProperty("--columns", columns);
  byId("sheet").style.setProperty("--rows", rows);
  return columns * rows;
}

async function showSheet(looks) {
  const mine = visit;
  sheet = looks;
  marks = looks.map((look) => begun.get(look.id) ?? { choice: look.choice ?? "keep", reason: look.reason });
  keepOnly([...sheet, ...queue]);
  screen("grid");
  const images = await patiently(Promise.all(sheet.map((look) => load(look, "small"))));
  if (mine !== visit) return;
  byId("sheet").replaceChildren(...images.map((image, i) => {
    const tile = make("button", "", { type: "button", className: "tile", role: "option", tabIndex: -1 });
    tile.append(image);
    tile.addEventListener("focus", () => { if (place !== i) { place = i; drawMarks(); } });
    tile.addEventListener("click", (event) => { place = i; if (event.detail < 2) toggle(); });
    return tile;
  }));
  place = 0;
  drawMarks();
  if (!document.activeElement.closest("aside, dialog")) byId("sheet").firstChild.focus({ preventScroll: true });
  loadAhead();
  refillAhead(2 * room());
  onScreen(sheet[0].id);
}

function drawMarks() {
  [...byId("sheet").children].forEach((tile, i) => {
    const rejected = marks[i].choice === "reject";
    tile.classList.toggle("rejected", rejected);
    tile.classList.toggle("current", i === place);
    tile.tabIndex = i === place ? 0 : -1;
    tile.setAttribute("aria-selected", String(rejected));
    tile.setAttribute("aria-label", `Picture ${i + 1} of ${marks.length}${rejected ? `, rejected${marks[i].reason ? `: ${marks[i].reason}` : ""}` : ""}`);
    tile.dataset.reason = marks[i].reason || "rejected";
  });
  const gone = marks.filter((mark) => mark.choice === "reject").length;
  byId("commit").firstChild.textContent = gone ? `Keep the other ${sheet.length - gone} ` : "Keep all ";
}

function toggle(reason = "") {
  if (busy) return;
  const mark = marks[place];
  const same = mark.choice === "reject" && (!reason || mark.reason === reason);
  marks[place] = same ? { choice: "keep", reason: "" } : { choice: "reject", reason };
  begun.set(sheet[place].id, marks[place]);
  drawMarks();
  announce(`Picture ${place + 1} ${same ? "stays" : `rejected${reason ? `: ${reason}` : ""}`}.`);
}

function move(step) {
  if (busy) return; // the pictures are not there yet, or are being sent
  place = Math.min(Math.max(place + step, 0), sheet.length - 1);
  drawMarks();
  byId("sheet").children[place].focus();
}

async function commit() {
  if (early()) return;
  const each = took() / sheet.length;
  if (await answer(sheet.map((look, i) => ({ look, ...marks[i], text: "", ms: each })))) await next();
}

// ---- one at a time

async function showOne(look) {
  const mine = visit;
  keepOnly([look, ...queue]);
  const image = await patiently(load(look, "picture"));
  if (mine !== visit) return;
  const captions = at.page === "captions";
  byId(captions ? "caption-stage" : "stage").replaceChildren(image);
  for (const button of document.querySelectorAll(".choice")) button.classList.toggle("chosen", button.dataset.choice === look.choice);
  for (const button of document.querySelectorAll("[data-for=single] [data-reasons] button")) button.classList.toggle("chosen", Boolean(look.reason) && button.firstChild.textContent === look.reason);
  byId("said").hidden = !look.said;
  byId("said").textContent = (look.said ?? []).map((one) => (one.choice === "reject" ? `rejected${one.reason ? `: ${one.reason}` : ""}` : "kept")).join(" \u00b7 ");
  screen(at.page);
  if (captions) {
    const words = begun.get(look.id);
    byId("caption").value = words ?? look.text;
    byId("caption-source").textContent = words !== null && words !== look.text ? "These are your words, not saved yet." : look.drafted ? "Drafted by a model. What the source said: " + look.source : look.text !== look.source ? "What the source said: " + look.source : "";
    count();
    byId("caption").focus();
  }
  loadAhead();
  refillAhead(AHEAD + 3);
  announce(`Picture ${counts.answered + 1} of ${counts.answered + counts.left}.`);
  onScreen(look.id);
}

function onScreen(id) {
  document.body.dataset.look = id;
  ready();
}

async function choose(choice, reason = "") {
  if (early()) return;
  const look = queue[0];
  const text = choice === "caption" ? byId("caption").value.trim() : "";
  if (choice === "caption" && !text) return say("Write a caption, or drop the picture.");
  if (characters(text) > LONGEST) return say("The caption is too long. Shorten it, and save it then.");
  if (await answer([{ look, choice, reason, text, ms: took() }])) {
    queue.shift();
    await next();
  }
}

function because(i) {
  const reason = at.reasons[i];
  if (!reason) return;
  if (at.page === "grid") toggle(reason);
  else choose("reject", reason);
}

let counting = 0;
async function count() {
  const mine = ++counting;
  const text = byId("caption").value;
  if (counted("caption-count", text, LONGEST)) return;
  await pause(250);
  if (mine !== counting || document.body.dataset.screen !== "captions") return;
  const reply = await post("/tokens", { of: at.name, text });
  if (!reply || mine !== counting) return;
  byId("tokens").textContent = reply.counts.map((one) => `${one.tokens}${one.most ? ` of ${one.most}` : ""} tokens of ${one.name}`).join("\n");
  byId("tokens").classList.toggle("long", reply.counts.some((one) => one.most && one.tokens > one.most));
}

// ---- answers

async function answer(given) {
  const mine = visit;
  busy = true;
  const answers = given.map(({ look, choice, reason, text, ms }) => ({ id: look.id, turn: look.turn, choice, reason, text, milliseconds: Math.round(ms) }));
  const reply = await patiently(post("/answer", { of: at.name, answers }));
  if (reply) for (const { look } of given) begun.drop(look.id);
  if (mine !== visit) return false;
  if (!reply) {
    busy = false; // all stays as it was before, so that one may answer otherwise
    return false;
  }
  say("");
  given.forEach(({ look, choice, reason, text }, i) => {
    if (reply.statuses[i] !== "stored") return say("Some were answered elsewhere.");
    if (look.choice === null) {
      counts.answered += 1;
      counts.left = Math.max(0, counts.left - 1);
    }
    Object.assign(look, { turn: look.turn + 1, choice, reason, text });
    answered.push(look);
  });
  pace.pictures += given.length;
  pace.ms += Math.min(took(), IDLE * given.length);
  if (at.page === "grid") sheet = [];
  progress();
  return true;
}

async function back() {
  if (busy || !answered.length) return;
  busy = true;
  if (at.page === "grid") {
    queue.unshift(...sheet);
    await showSheet(answered.splice(-room()));
  } else {
    queue.unshift(answered.pop());
    await showOne(queue[0]);
  }
  progress();
}

// ---- keys and panels

function closeUp() {
  const look = at.page === "grid" ? sheet[place] : queue[0];
  if (!look || byId("zoom").open) return byId("zoom").close();
  byId("zoom").className = "";
  byId("zoomed").replaceChildren();
  byId("zoom").showModal();
  fetched(`/picture/${look.id}`).then((image) => byId("zoomed").replaceChildren(image));
}

function panel(name) {
  for (const other of ["guide", "filter"]) {
    const shown = other === name && byId(`${other}-panel`).hidden;
    if (byId(`${other}-panel`).contains(document.activeElement)) byId(other).focus();
    byId(`${other}-panel`).hidden = !shown;
    byId(other).setAttribute("aria-expanded", String(shown));
  }
}

// A window of another width shows another number of columns: the sheet is laid out again, and keeps its marks.
addEventListener("resize", () => {
  if (busy || document.body.dataset.screen !== "grid" || !sheet.length) return;
  const columns = byId("sheet").style.getPropertyValue("--columns");
  const fits = room();
  if (byId("sheet").style.getPropertyValue("--columns") === columns) return;
  busy = true;
  queue.unshift(...sheet);
  showSheet(queue.splice(0, fits));
});
addEventListener("popstate", open);
addEventListener("keydown", (event) => {
  const name = document.body.dataset.screen;
  const writing = event.target.closest?.("textarea, input, select");
  if (writing) {
    if (event.key === "Escape") {
      writing.blur();
      panel("");
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && name === "captions") { event.preventDefault(); choose("caption"); }
    return;
  }
  if (!["grid", "single", "captions"].includes(name) || event.metaKey || event.altKey || event.ctrlKey) return;
  if (event.key === "Escape" && !byId("zoom").open) return panel("");
  if (byId("zoom").open) { if (event.key === "z") { event.preventDefault(); closeUp(); } return; }
  if ([" ", "Enter"].includes(event.key) && event.target.closest?.("button:not(.tile)")) return; // it is meant for the button
  const columns = Number(byId("sheet").style.getPropertyValue("--columns")) || 1;
  const held = { grid: { ArrowLeft: () => move(-1), ArrowRight: () => move(1), ArrowUp: () => move(-columns), ArrowDown: () => move(columns) } }[name]?.[event.key];
  const once = {
    grid: { " ": () => toggle(), x: () => toggle(), Enter: commit },
    single: { ArrowRight: () => choose("keep"), ArrowLeft: () => choose("reject"), k: () => choose("keep"), x: () => choose("reject") },
    captions: {},
  }[name][event.key] ?? { Backspace: back, z: closeUp, g: () => panel("guide"), f: () => byId("filter").hidden || panel("filter") }[event.key]
    ?? (/^[1-9]$/.test(event.key) && name !== "captions" ? () => because(Number(event.key) - 1) : null);
  if (held) { event.preventDefault(); held(); }
  else if (once) { event.preventDefault(); if (!event.repeat) once(); }
});
addEventListener("click", (event) => {
  if (event.target.closest("#stage, #caption-stage")) closeUp();
  else if (event.target.closest("#zoomed img")) byId("zoom").classList.toggle("full");
  else if (event.target.closest("#zoom")) byId("zoom").close();
});
onClick((button) => {
  if (button.dataset.choice) choose(button.dataset.choice);
  else if ("closer" in button.dataset) closeUp();
  else if ("home" in button.dataset) home();
  else if ("panel" in button.dataset) panel("");
  else ({ commit, back, guide: () => panel("guide"), filter: () => panel("filter"), again: begin })[button.id]?.();
}, (button) => button.closest("form, #sheet"));
byId("caption-form").addEventListener("submit", (event) => { event.preventDefault(); choose("caption"); });
byId("caption").addEventListener("input", () => {
  begun.set(queue[0].id, byId("caption").value);
  count();
});
byId("score").addEventListener("change", () => {
  const range = desk.scores[byId("score").value];
  byId("range").hidden = !range;
  if (range) [byId("low").value, byId("high").value] = range;
});
byId("filter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const range = desk.scores[byId("score").value] ?? [0, 0]; // an end that is left empty is that of all pictures
  const [low, high] = ["low", "high"].map((id, end) => byId(id).value === "" ? range[end] : Number(byId(id).value));
  wanted = { concept: byId("concept").value, score: byId("score").value, low, high, rater: Number(byId("rater").value) };
  panel("");
  begin();
});
open();
