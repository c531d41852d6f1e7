// Keeps a page as fresh as the cluster: when an event says that something it shows has changed, the
// page is fetched again and only what differs is changed, so that scrolling, focus and selections stay.
"use strict";

const PAUSE = 500; // At most two refreshes a second.
const root = document.documentElement;
const main = () => document.getElementById("main");
let skew = 0; // How far this clock is ahead of the scheduler's.
root.classList.add("js");

// --- Looking again

let due = null;
let busy = false;
let again = false;

function refreshSoon() {
  if (document.hidden) return;
  if (busy || due) return void (again = busy || again);
  due = setTimeout(refresh, PAUSE);
}

async function refresh() {
  due = null;
  busy = true;
  again = false;
  // A page that is long asks only for what moves.
  const { part } = main().dataset;
  const query = new URLSearchParams(location.search);
  if (part) query.set("part", part);
  // Whoever is sent elsewhere, to another scheduler or to log in, goes there with the whole page.
  const fresh = await fetch(location.pathname + (query.size ? "?" + query : ""), { redirect: "manual" })
    .then((answer) => (answer.type === "opaqueredirect" ? location.reload() : answer))
    .then((answer) => (answer?.status < 500 ? answer.text().then((text) => ({ text, whole: !answer.ok })) : null))
    .then((it) => it && { whole: it.whole, page: new DOMParser().parseFromString(it.text, "text/html") })
    .catch(() => null);
  busy = false;
  const now = fresh?.page.getElementById("main");
  if (!now) return void setTimeout(refreshSoon, 2000);
  // Only of a field: a button that somebody has pressed may become another one under the finger.
  const ignoreActiveValue = !!document.activeElement?.matches("input, textarea, select");
  const options = { morphStyle: "outerHTML", ignoreActiveValue, callbacks: { beforeAttributeUpdated: mayChange, beforeNodeMorphed: isTheirs } };
  if (part && !fresh.whole) {
    main().dataset.now = now.dataset.now;
    for (const old of document.querySelectorAll(".part")) {
      const next = fresh.page.getElementById(old.id);
      if (next) Idiomorph.morph(old, next, options);
    }
  } else Idiomorph.morph(main(), now, options);
  arrive();
  if (again) refreshSoon();
}

// What the reader types and what a script draws is nothing that the server knows better.
function isTheirs(node) {
  return !(node instanceof Element && node.matches("[data-mine]"));
}

// What the reader has opened or filtered away stays so; which cell the tab key stops at is ours.
function mayChange(name, node) {
  if (name === "open") return !node.matches("details");
  if (name === "tabindex") return !node.closest(".cells");
  return name !== "hidden";
}

let source = null;

function listen() {
  const query = main().dataset.events;
  const sign = document.getElementById("live");
  if (query === undefined || source || document.hidden) return;
  const say = (on) => {
    sign.classList.toggle("on", on);
    sign.querySelector("b").textContent = on ? "Live" : "Reconnecting";
  };
  source = new EventSource("/api/v1/events?" + query);
  source.addEventListener("open", () => say(true));
  source.addEventListener("error", () => {
    say(false);
    // A browser gives up for good after some answers; nobody reads a page to see it stand still.
    if (source?.readyState === EventSource.CLOSED) source = void setTimeout(listen, 3000);
  });
  // The first one is a greeting. It counts too: nobody told of what happened since the page was made.
  source.addEventListener("changed", () => refreshSoon());
  source.addEventListener("reset", () => refreshSoon());
}

// A browser has six connections to a host, and somebody may have many tabs open.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    source?.close();
    source = null;
  } else if (main().dataset.events !== undefined) {
    listen();
    refreshSoon();
  }
});

// --- Times

function ago(at) {
  const seconds = Math.max(0, Math.floor((Date.now() - skew - at) / 1000));
  if (seconds < 5) return "just now";
  if (seconds < 60) return seconds + "s ago";
  if (seconds < 3600) return Math.floor(seconds / 60) + "m ago";
  if (seconds < 86400) return Math.floor(seconds / 3600) + "h ago";
  return Math.floor(seconds / 86400) + "d ago";
}

function left(until) {
  const seconds = Math.max(0, Math.ceil((until - Date.now() + skew) / 1000));
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (minutes < 1) return `${seconds}s left`;
  if (hours < 1) return `${minutes}m ${seconds % 60}s left`;
  return hours < 24 ? `${hours}h ${minutes % 60}m left` : `${Math.floor(hours / 24)}d ${hours % 24}h left`;
}

function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
  if (minutes < 1) return `${seconds}s`;
  if (hours < 1) return `${minutes}m ${seconds % 60}s`;
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-since]")) {
    const text = span(Date.now() - skew - Number(time.dataset.since));
    if (time.textContent !== text) time.textContent = text;
  }
  for (const time of document.querySelectorAll("time[data-until]")) {
    const text = left(Number(time.dataset.until));
    if (time.textContent !== text) time.textContent = text;
  }
  for (const time of document.querySelectorAll("time[data-at]")) {
    const text = ago(Number(time.dataset.at));
    if (time.textContent !== text) time.textContent = text;
  }
}

// --- Whenever the page is new or has changed

function arrive() {
  skew = Date.now() - Number(main().dataset.now);
  document.querySelectorAll("input[data-filter]").forEach(filter);
  // One stop for the tab key; the arrow keys go on from there.
  for (const cells of document.querySelectorAll(".cells")) {
    const all = [...cells.children];
    const stop = all.find((cell) => cell.getAttribute("tabindex") === "0") ?? all[0];
    for (const cell of all) cell.tabIndex = cell === stop ? 0 : -1;
  }
  tick();
  document.dispatchEvent(new Event("arrived"));
}

function filter(input) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of document.querySelectorAll(`#${input.dataset.filter} tbody tr`)) {
    const key = (row.dataset.key ?? "").toLowerCase();
    row.hidden = !words.every((word) => key.includes(word));
  }
}

// --- Orders

let quiet = null;
function say(text, wrong = false) {
  const said = document.getElementById("said");
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
  clearTimeout(quiet);
  quiet = setTimeout(() => (said.textContent = ""), wrong ? 12000 : 4000);
}

function confirmed({ ask, more, do: verb }) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("h2").textContent = ask;
  dialog.querySelector("p").textContent = more;
  dialog.querySelector("[value=yes]").textContent = verb;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

async function order(button) {
  const { ask, post, why, do: verb } = button.dataset;
  if (ask && !(await confirmed(button.dataset))) return;
  const field = why && document.getElementById(why);
  const message = field?.value.trim();
  const body = field ? JSON.stringify(message ? { message } : {}) : button.dataset.body;
  try {
    const answer = await fetch(post, { method: "POST", headers: { "content-type": "application/json" }, body });
    const told = await answer.json();
    if (!answer.ok) return say(told.detail || told.title, true);
    say(told.instances ? `${verb}: instances ${told.instances}` : `${verb}: done`);
    if (field) field.value = "";
    refreshSoon();
  } catch {
    say("The scheduler does not answer", true);
  }
}

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("button");
  if (button?.dataset.post) return order(button);
  if (button?.dataset.copy === undefined) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  say("Copied");
});

// --- Keys

document.addEventListener("input", ({ target }) => target.dataset.filter && filter(target));
document.addEventListener("keydown", (event) => {
  const field = event.target.matches("input, textarea, select");
  if (event.key === "/" && !field && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector("main input[type=search]");
    if (search) event.preventDefault(), search.focus(), search.select();
  }
  const cells = event.target.closest(".cells");
  if (cells && event.target !== cells) move(event, cells);
});

function move(event, cells) {
  const all = [...cells.children];
  const at = all.indexOf(event.target);
  const top = all[0].offsetTop;
  const found = all.findIndex((cell) => cell.offsetTop !== top);
  const row = found < 0 ? all.length : found;
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + row, ArrowUp: at - row, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  event.target.tabIndex = -1;
  all[to].tabIndex = 0;
  all[to].focus();
}

if (main()) {
  arrive();
  listen();
  setInterval(tick, 1000);
  // What is measured changes all the time, and no event tells of it.
  setInterval(() => "measures" in main().dataset && refreshSoon(), 5000);
}
