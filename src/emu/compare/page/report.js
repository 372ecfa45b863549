"use strict";
const form = document.getElementById("filters");
const lines = [...document.querySelectorAll(".line")].map((line) => ({
  line,
  cells: [...line.querySelectorAll("figure.cell")],
  text: line.querySelector("h3").textContent.toLowerCase(),
  groups: JSON.parse(line.dataset.groups),
}));

function fits({ text, groups }, group, words) {
  return (!group || groups.includes(group)) && words.every((word) => text.includes(word));
}

function filter() {
  const chosen = new FormData(form);
  const outcome = chosen.get("outcome");
  const words = chosen.get("search").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const entry of lines) {
    const kept = entry.cells.filter((cell) => !outcome || cell.dataset[chosen.get("criterion")] === outcome);
    for (const cell of entry.cells) cell.classList.toggle("out", !kept.includes(cell));
    entry.line.hidden = !kept.length || !fits(entry, chosen.get("group"), words);
    shown += !entry.line.hidden;
  }
  document.getElementById("count").value = `${shown} of ${lines.length} prompts`;
  document.getElementById("nothing").hidden = shown > 0;
}

// The filters live in the address too, so that a reload or a link shows the same pictures.
function remember() {
  const chosen = [...new FormData(form)].filter(([, value]) => value);
  history.replaceState(null, "", `#${new URLSearchParams(chosen)}`);
}

function recall() {
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    const field = form.elements[name];
    if (field) field.value = value;
  }
}

const zoom = document.getElementById("zoom");
let current = null;

function show(cell) {
  current = cell;
  const marks = [...cell.querySelectorAll(".mark")].map((mark) => mark.textContent).join("   ");
  document.getElementById("zoom-caption").textContent = cell.dataset.prompt;
  document.getElementById("zoom-name").textContent = `${cell.dataset.run}   ${marks}`;
  for (const side of ["before", "after"]) {
    const from = cell.querySelector(`img.${side}`);
    const into = document.getElementById(`zoom-${side}`);
    into.src = from.src;
    into.className = from.className;
  }
  if (!zoom.open) zoom.showModal();
}

function move(by) {
  const among = current.matches(".pick") ? ".pick" : ".line:not([hidden]) figure.cell:not(.out)";
  const seen = [...document.querySelectorAll(among)];
  show(seen[(seen.indexOf(current) + by + seen.length) % seen.length]);
}

const go = { close: () => zoom.close(), previous: () => move(-1), next: () => move(1) };

document.addEventListener("click", (event) => {
  const pair = event.target.closest(".pair");
  const button = event.target.closest("[data-go]");
  if (pair) show(pair.closest("figure"));
  else if (button) go[button.dataset.go]();
  else if (event.target === zoom) zoom.close();
});
zoom.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") move(-1);
  if (event.key === "ArrowRight") move(1);
});
zoom.addEventListener("close", () => current.querySelector(".pair").focus());
form.addEventListener("input", () => { filter(); remember(); });
addEventListener("hashchange", () => { recall(); filter(); });
form.addEventListener("submit", (event) => event.preventDefault());
form.hidden = false;
recall();
filter();
