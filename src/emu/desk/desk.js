"use strict";
// What the pages of the desk have in common: messages that are sent until they are stored, and pictures that are loaded ahead.
const UNSAVED = "Not saved yet. Trying again\u2026";
const CLOSED = "Your link is closed, or there is a newer one. Open the newest in this browser, and this page goes on: nothing is lost.";
const UNSEEN = "A picture is not there yet. Trying again\u2026";
const SLOW = "Waiting for the network\u2026";
const byId = (id) => document.getElementById(id);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function make(name, text, more = {}) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  return Object.assign(element, more);
}

function say(text) {
  byId("status").textContent = text;
}

// What was said in the meantime stays.
function unsay(...texts) {
  if (texts.includes(byId("status").textContent)) say("");
}

// What is promised; where it takes longer than a moment the page says that it waits.
const MOMENT = 800; // ms
async function patiently(promise) {
  const timer = setTimeout(() => { if (!byId("status").textContent) say(SLOW); }, MOMENT);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    unsay(SLOW);
  }
}

// For who hears the page: what one sees at a glance.
function announce(text) {
  byId("live").textContent = text;
}

// What was begun and is not stored yet, by the id of what it is about. It outlives a reload, the back button and a crash.
const DAYS = 30;
const begun = {
  get(id) {
    try { return JSON.parse(localStorage.getItem(`emu ${id}`)).what; } catch { return null; }
  },
  set(id, what) {
    try { localStorage.setItem(`emu ${id}`, JSON.stringify({ what, at: Date.now() })); } catch { /* full, or forbidden */ }
  },
  drop(id) {
    try { localStorage.removeItem(`emu ${id}`); } catch { /* forbidden */ }
  },
};
try {
  for (const key of Object.keys(localStorage)) {
    if (key.startsWith("emu ") && !(JSON.parse(localStorage.getItem(key)).at > Date.now() - DAYS * 86400000)) localStorage.removeItem(key);
  }
} catch { /* forbidden, or not ours */ }

// Characters as the server counts them: a face is one, not two.
const characters = (text) => [...text].length;

// How many characters a text has of those it may have; whether it is too long.
function counted(id, text, longest) {
  const over = characters(text) - longest;
  byId(id).textContent = `${over > 0 ? `${grouped(over)} too many` : grouped(characters(text))} of ${grouped(longest)} characters`;
  byId(id).classList.toggle("long", over > 0);
  return over > 0;
}

function screen(name) {
  document.body.dataset.screen = name;
}

// A list of keys, and what each does.
function listKeys(id, keys) {
  byId(id).replaceChildren(...keys.flatMap(([key, what]) => {
    const dt = make("dt");
    dt.append(make("kbd", key));
    return [dt, make("dd", what)];
  }));
}

const grouped = (number) => number.toLocaleString("en");

function showProgress(answered, total) {
  byId("bar").max = Math.max(total, 1);
  byId("bar").value = answered;
  byId("count").textContent = `${grouped(answered)} of ${grouped(total)}`;
}

// Whether the page takes an answer, and since when: a key that comes right after a picture is still meant for the one before.
const SETTLE = 150; // ms
let busy = true;
let shownAt = 0;
function ready() {
  shownAt = performance.now();
  busy = false;
}
const took = () => Math.round(performance.now() - shownAt);
const early = () => busy || took() < SETTLE;

// What the server answers; null where it will never take the message, which then says why.
let unsent = 0; // answers that the server has not got at the first try
addEventListener("beforeunload", (event) => { if (unsent) event.preventDefault(); });
async function post(path, body) {
  const message = JSON.stringify(body);
  let late = 0;
  try {
    for (let wait = 300; ; wait = Math.min(2 * wait, 5000)) {
      let hindrance = UNSAVED;
      try {
        const response = await fetch(path, {
          method: "POST",
          headers: { "Content-Type": "application/json", "X-Emu-Desk": document.documentElement.dataset.version },
          body: message,
          signal: AbortSignal.timeout(20000),
          keepalive: message.length < 16000, // it arrives though the tab is closed meanwhile; browsers take no longer ones
        });
        if (response.ok) {
          const reply = await response.json();
          unsay(UNSAVED, CLOSED);
          return reply;
        }
        if (response.status === 401) hindrance = CLOSED;
        else if (response.status < 500) {
          say(`Not taken: ${(await response.text()).trim()}.`);
          return null;
        }
      } catch { /* no connection, no answer in time, or half of one: try again */ }
      if (path === "/answer" && !late) late = unsent += 1;
      if (byId("status").textContent !== hindrance) say(hindrance);
      await pause(wait);
    }
  } finally {
    if (late) unsent -= 1;
  }
}

// What is loaded before it is needed, by a key that ends in the card's id, and kept no longer than its card.
const loaded = new Map();
function ahead(key, load) {
  if (!loaded.has(key)) loaded.set(key, load());
  return loaded.get(key);
}
function keepOnly(cards) {
  const kept = new Set(cards.map((card) => card.id));
  for (const key of [...loaded.keys()]) if (!kept.has(key.split(" ").at(-1))) loaded.delete(key);
}

// A picture, decoded; null where there is none.
async function picture(address, alt) {
  for (let wait = 300; ; wait = Math.min(2 * wait, 5000)) {
    const image = make("img", "", { alt, draggable: false, src: address });
    try {
      await image.decode();
      image.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
      image.classList.add("whole");
      image.classList.toggle("tiny", Math.max(image.naturalWidth, image.naturalHeight) <= 128);
      return image;
    } catch {
      const status = (await fetch(address, { method: "HEAD" }).catch(() => null))?.status;
      if (status === 404) return null;
      say(status === 401 ? CLOSED : UNSEEN);
      await pause(wait);
      unsay(CLOSED, UNSEEN);
    }
  }
}

// Clicks, by button. The second click of a double click answers nothing, and space answers again unless one came by keyboard.
function onClick(act, stays = () => false) {
  addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button || event.detail > 1) return;
    if (event.detail && !stays(button)) button.blur();
    act(button);
  });
}
