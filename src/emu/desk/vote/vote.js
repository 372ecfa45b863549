"use strict";
// An answer is sent, stored, and only then does the next pair appear: what one sees gone is safe.
const QUESTIONS = {
  appeal: {
    part: "Visual appeal",
    ask: "Which picture looks better?",
    text: "You will see two pictures at a time. Say which one looks better to you as a whole: its composition, light, colours and detail. What they were meant to show is hidden on purpose.",
    answers: [["a", "A", "ArrowLeft", "\u2190"], ["tie", "Tie", " ", "space"], ["b", "B", "ArrowRight", "\u2192"]],
    keys: { ArrowDown: "tie" },
  },
  faithfulness: {
    part: "Faithfulness",
    ask: "Which shows what the caption says?",
    text: "Now you see the caption. Say which picture shows what it says, no matter how good it looks. Choose Both if both show it equally well, and Neither if neither does.",
    answers: [["a", "A", "ArrowLeft", "\u2190"], ["both", "Both", "ArrowUp", "\u2191"], ["neither", "Neither", "ArrowDown", "\u2193"], ["b", "B", "ArrowRight", "\u2192"]],
    keys: { " ": "both" },
  },
};
const WHY = {
  degraded: "one picture is a spoiled copy of the other",
  identical: "both are the same picture",
  foreign: "one picture was drawn for another caption",
};
const LONGEST = Number(byId("reason").dataset.longest); // characters of a reason
let hand = null;
let waiting = null; // what "Go on" does

const load = (card) => ahead(card.id, () => Promise.all(["a", "b"].map((side) => shown(card, side))));

async function shown(card, side) {
  const image = await picture(`/picture/${card.id}/${side}`, `Picture ${side.toUpperCase()}`);
  if (image === null) {
    say("A picture is gone. Tell whoever runs the study, then reload the page.");
    return new Promise(() => {}); // nobody can compare it
  }
  return image;
}

async function take(reply) {
  if (!reply) return;
  hand = reply;
  keepOnly(hand.cards);
  const question = QUESTIONS[hand.question];
  byId("part").textContent = question.part;
  showProgress(hand.answered, hand.total);
  byId("undo").disabled = !hand.last;
  if (!hand.cards.length) end();
  else await show(hand.cards[0]);
}

async function show(card) {
  const question = QUESTIONS[hand.question];
  byId("ask").textContent = question.ask;
  byId("caption").textContent = card.caption ?? "";
  byId("caption").scrollTop = 0;
  byId("feedback").hidden = true;
  byId("reason").disabled = false;
  byId("reason").value = begun.get(card.id) ?? "";
  long();
  byId("answers").hidden = false;
  if (byId("answers").dataset.question !== hand.question) buttons(question);
  for (const button of byId("answers").children) button.classList.remove("chosen");
  const [a, b] = await patiently(load(card));
  place("picture-a", a);
  place("picture-b", b);
  byId("pair").dataset.card = card.id;
  if (!["card", "intro"].includes(document.body.dataset.screen)) screen("card");
  hand.cards.slice(1).forEach(load);
  ready();
  if (card.training) byId("part").textContent = `${question.part}: practice`;
  announce(`Pair ${hand.answered + 1} of ${hand.total}.${card.caption ? ` Caption: ${card.caption}` : ""}`);
}

function place(id, image) {
  byId(id).style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
  byId(id).replaceChildren(image);
}

function buttons(question) {
  byId("answers").dataset.question = hand.question;
  byId("answers").replaceChildren(...question.answers.map(([choice, label, , key]) => {
    const button = make("button", label, { type: "button" });
    button.dataset.choice = choice;
    button.append(make("kbd", key));
    return button;
  }));
}

// Whether the reason is too long; the counter is there where it comes near.
function long() {
  const text = byId("reason").value;
  const over = counted("reason-count", text, LONGEST);
  byId("reason-count").hidden = characters(text) < 0.8 * LONGEST;
  return over;
}

async function choose(choice) {
  if (early() || document.body.dataset.screen !== "card") return;
  if (long()) return say("Your reason is too long. Shorten it, then answer.");
  busy = true;
  for (const button of byId("answers").children) button.classList.toggle("chosen", button.dataset.choice === choice);
  const card = hand.cards[0];
  const reply = await patiently(post("/answer", {
    id: card.id, turn: card.turn, choice,
    reason: byId("reason").value, milliseconds: took(),
  }));
  if (!reply) return refused();
  begun.drop(card.id);
  byId("reason").value = "";
  say("");
  if (reply.status === "stale") say("This pair was answered elsewhere. Here is the next.");
  if (reply.feedback) feedback(reply);
  else await take(reply);
}

function feedback(reply) {
  const label = QUESTIONS[hand.question].answers.find(([choice]) => choice === reply.feedback.answer)[1];
  byId("feedback").hidden = false;
  byId("reason").disabled = true;
  byId("answers").hidden = true;
  byId("feedback").className = `feedback ${reply.feedback.right ? "right" : "wrong"}`;
  byId("feedback-text").textContent = reply.feedback.right
    ? `Right: ${WHY[reply.feedback.kind]}.`
    : `${label} would be right: ${WHY[reply.feedback.kind]}.`;
  announce(byId("feedback-text").textContent);
  waiting = () => take(reply);
  byId("go-on").focus();
}

function goOn() {
  const next = waiting;
  waiting = null;
  if (next) next();
}

async function undo() {
  if (busy || !hand.last || document.body.dataset.screen !== "card") return;
  busy = true;
  const reply = await post("/answer", { id: hand.last.id, turn: hand.last.turn, choice: "undo", reason: "", milliseconds: 0 });
  if (reply) await take(reply);
  else refused();
}

// All stays as it was before, so that one may answer otherwise.
function refused() {
  for (const button of byId("answers").children) button.classList.remove("chosen");
  busy = false;
}

function intro() {
  const question = QUESTIONS[hand.question];
  byId("intro-part").textContent = question.part;
  byId("intro-title").textContent = question.ask;
  byId("intro-text").textContent = question.text;
  listKeys("intro-keys", [...question.answers.map(([, label, , key]) => [key, label]), ["backspace", "Undo"]]);
  const practice = hand.training ? `The first ${hand.training} pairs are practice: you are told the right answer. ` : "";
  byId("intro-small").textContent = `${practice}Later, a few pairs whose answer is known, or that you have seen before, check your attention. Every answer is saved at once; stop and come back whenever you like.`;
  screen("intro");
  byId("start").focus({ preventScroll: true }); // one begins with the title
}

function end() {
  busy = false;
  const more = hand.next !== null;
  byId("end-title").textContent = more ? "The first part is done" : "Thank you";
  byId("end-text").textContent = more
    ? "In the second part you see the captions. Your answers so far are saved; once you go on, they can no longer be changed."
    : "There are no more pairs for you. You may close this page.";
  byId("again").textContent = more ? "Go on" : "Look for more pairs";
  screen("end");
  byId("again").focus();
}

async function open(path) {
  busy = true;
  const reply = await post(path, {});
  await take(reply);
  if (reply && reply.cards.length) {
    if (reply.answered === 0) intro();
    else screen("card");
  }
}

addEventListener("keydown", (event) => {
  if (event.target === byId("reason")) {
    if (event.key === "Escape" || event.key === "Enter") byId("reason").blur();
    return;
  }
  const plain = !event.metaKey && !event.altKey && !event.ctrlKey;
  const button = event.target.closest?.("button");
  if (document.body.dataset.screen !== "card" || event.repeat) return;
  if (event.key === "Backspace" || (event.key === "z" && (event.ctrlKey || event.metaKey))) {
    event.preventDefault();
    undo();
    return;
  }
  if (!plain || (button && [" ", "Enter"].includes(event.key))) return;
  const question = QUESTIONS[hand.question];
  const choice = question.answers.find(([, , key]) => key === event.key)?.[0] ?? question.keys[event.key];
  if (!choice) return;
  event.preventDefault();
  if (waiting) goOn();
  else choose(choice);
});
onClick((button) => {
  if (button.dataset.choice) choose(button.dataset.choice);
  else if (button.id === "undo") undo();
  else if (button.id === "go-on") goOn();
  else if (button.id === "start") { screen("card"); byId("ask").focus(); shownAt = performance.now(); }
  else if (button.id === "again") open(hand.next ? "/begin" : "/hand");
});
byId("reason").addEventListener("input", () => {
  if (byId("reason").value) begun.set(hand.cards[0].id, byId("reason").value);
  else begun.drop(hand.cards[0].id);
  long();
});
// A tab that one comes back to may have been overtaken by another.
addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && !busy && !waiting && document.body.dataset.screen === "card") open("/hand");
});
open("/hand");
