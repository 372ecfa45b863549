"use strict";
// What the pages of the desk have in common: messages that are sent until they are stored, and pictures that are loaded ahead.
const UNSAVED = "Not saved yet. Trying again\u2026";
const UNSEEN = "A picture is not there yet. Trying again\u2026";
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
function unsay(text) {
  if (byId("status").textContent === text) say("");
}

function screen(name) {
  document.body.dataset.screen = name;
}

// What the server answers; null where it will never take the message.
async function post(path, body) {
  for (let wait = 300; ; wait = Math.min(2 * wait, 5000)) {
    try {
      const response = await fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Emu-Desk": "1" },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(20000),
      });
      if (response.ok) {
        const told = await response.json();
        unsay(UNSAVED);
        return told;
      }
      if (response.status < 500) {
        say(response.status === 401 ? "Your link is closed. What you answered is kept." : "This did not work. Load the page again.");
        return null;
      }
    } catch { /* no connection, no answer in time, or half of one: try again */ }
    say(UNSAVED);
    await pause(wait);
  }
}

// A picture, decoded; null where there is none.
async function picture(address, alt) {
  for (let wait = 300; ; wait = Math.min(2 * wait, 5000)) {
    const image = make("img", "", { alt, draggable: false, src: address });
    try {
      await image.decode();
      return image;
    } catch {
      if ((await fetch(address, { method: "HEAD" }).catch(() => null))?.status === 404) return null;
      say(UNSEEN);
      await pause(wait);
      unsay(UNSEEN);
    }
  }
}
