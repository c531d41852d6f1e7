// A window on a log or a file of any length. The page comes with a piece of it; this fetches others as
// somebody scrolls, jumps or follows, and keeps a few of them only, so that gigabytes do not end up here.

const STEP = 128 * 1024; // Bytes fetched at once.
const KEPT = 8; // Pieces of about that size in the page.
const box = document.getElementById("log");
const text = document.getElementById("log-text");
const $ = (id) => document.getElementById("log-" + id);
const { source } = box.dataset;
const utf8 = new TextDecoder();
let size = Number(box.dataset.size);
let first = 0; // The first byte that can still be had: what was rotated away is gone.
let pieces = []; // What is in the page: { begin, end, node }, without gaps.
let following = null; // What stops it.
let loading = false;
let quiet = false; // While we scroll, and not the reader.
let dragged = null; // The slider was, and what it asks for is not here yet.

const begin = () => pieces[0]?.begin ?? 0;
const end = () => pieces.at(-1)?.end ?? 0;
const bytes = (n) => {
  const unit = Math.min(4, Math.floor(Math.log2(Math.max(n, 1)) / 10));
  const scaled = n / 1024 ** unit;
  return `${Number.isInteger(scaled) || scaled >= 100 ? Math.floor(scaled) : scaled.toFixed(1)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
};
const atBottom = () => text.scrollHeight - text.scrollTop - text.clientHeight < 24;

function scrollTo(top) {
  quiet = true;
  text.scrollTop = top;
  requestAnimationFrame(() => (quiet = false));
}

function show() {
  size = Math.max(size, end());
  const shown = end() - begin();
  $("place").textContent =
    size === 0 ? "empty so far" : shown === size ? `all of ${bytes(size)}` : `${bytes(shown)} at ${bytes(begin())} of ${bytes(size)}`;
  $("follow")?.setAttribute("aria-pressed", String(following !== null));
  const at = $("at");
  at.max = Math.max(1, size - first);
  at.step = Math.max(1, Math.floor((size - first) / 1000));
  if (!dragged) at.value = end() >= size ? size : begin() - first;
  at.setAttribute("aria-valuetext", $("place").textContent);
  $("earlier").classList.toggle("off", begin() <= first);
  $("later")?.classList.toggle("off", end() >= size);
  find(false);
}

// --- Fetching

// Characters may have several bytes, and pieces begin and end anywhere. Gives where the whole ones begin and end.
function wholeFrom(data) {
  let from = 0;
  while (from < 4 && from < data.length && (data[from] & 0xc0) === 0x80) from++;
  return from === 4 ? 0 : from;
}

function wholeTo(data) {
  for (let back = 1; back <= Math.min(4, data.length); back++) {
    const byte = data[data.length - back];
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? data.length - back : data.length;
  }
  return data.length;
}

async function fetched(from, length, signal) {
  const answer = await fetch(`${source}?offset=${from}&length=${length}`, { signal });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  const data = new Uint8Array(await answer.arrayBuffer());
  const offset = Number(answer.headers.get("airglow-log-offset"));
  size = Number(answer.headers.get("airglow-log-size"));
  if (from >= 0 && offset > from) first = Math.max(first, offset);
  return { data, offset };
}

// A piece of the page. Nobody knows what is before `loose.begin`, nor what is after `loose.end`: there it
// starts with a whole line and stops after a whole character.
function piece({ data, offset }, loose) {
  let from = 0;
  if (loose.begin && offset > first) {
    from = wholeFrom(data);
    const line = data.subarray(0, data.length / 2).indexOf(10);
    if (line >= 0) from = line + 1;
  }
  const to = loose.end && offset + data.length < size ? Math.max(from, wholeTo(data)) : data.length;
  const node = document.createTextNode(utf8.decode(data.subarray(from, to)));
  return { begin: offset + from, end: offset + to, node };
}

async function once(load) {
  if (loading) return;
  loading = true;
  try {
    await load();
    $("said").textContent = "";
  } catch (error) {
    if (error.name !== "AbortError") $("said").textContent = error.message || "The scheduler does not answer";
  }
  loading = false;
  show();
}

// --- Moving

async function jump(offset, toEnd = false) {
  await once(async () => {
    stop();
    const only = piece(await fetched(offset, STEP), { begin: true, end: true });
    pieces = [only];
    text.replaceChildren(only.node);
    scrollTo(toEnd ? text.scrollHeight : 0);
    history.replaceState(null, "", toEnd ? location.pathname : `?offset=${only.begin}`);
  });
  // So that there is something to scroll up to.
  if (!toEnd) await earlier();
}

const earlier = async () => begin() > first && once(async () => {
  const [from, until] = [Math.max(first, begin() - STEP), begin()];
  const got = await fetched(from, until - from);
  if (got.offset >= until) return void (first = until); // What was there has been rotated away.
  got.data = got.data.subarray(0, until - got.offset);
  const before = piece(got, { begin: true });
  const below = text.scrollHeight - text.scrollTop;
  text.prepend(before.node);
  pieces.unshift(before);
  scrollTo(text.scrollHeight - below);
  while (pieces.length > KEPT) pieces.pop().node.remove();
});

const later = async () => (end() < size || "active" in box.dataset) && once(async () => {
  const got = await fetched(end(), STEP);
  if (got.offset > end()) return void ($("said").textContent = "What came after this has been rotated away");
  if (got.data.length) add(piece(got, { end: true }));
});

// Below what is there, keeping in view what is in view.
function add(more) {
  const last = pieces.at(-1);
  if (last && last.end - last.begin < STEP / 2) {
    last.node.appendData(more.node.data);
    last.end = more.end;
  } else {
    text.append(more.node);
    pieces.push(more);
  }
  if (pieces.length <= KEPT) return;
  const below = text.scrollHeight - text.scrollTop;
  while (pieces.length > KEPT) pieces.shift().node.remove();
  scrollTo(text.scrollHeight - below);
}

async function toEnd() {
  await jump(-STEP, true);
  follow();
}

// --- Following

function stop() {
  following?.abort();
  following = null;
}

async function follow() {
  if (!("active" in box.dataset) || following) return;
  const mine = (following = new AbortController());
  let pause = 500;
  while (following === mine) {
    try {
      // Whoever was away for long does not want to see all of it go by.
      const now = await fetched(end(), 0, mine.signal);
      if (now.offset !== end() || size - end() > STEP * KEPT) await restart(mine.signal);
      show();
      scrollTo(text.scrollHeight);
      await receive(mine);
      if (following === mine) await ended(mine);
      break;
    } catch (error) {
      if (error.name === "AbortError") return;
      await new Promise((done) => setTimeout(done, (pause = Math.min(pause * 2, 10000))));
    }
  }
}

async function restart(signal) {
  const only = piece(await fetched(-STEP, STEP, signal), { begin: true, end: true });
  pieces = [only];
  text.replaceChildren(only.node);
}

// What comes within a frame is shown at once, and of very much only the end.
async function receive(mine) {
  const answer = await fetch(`${source}?offset=${end()}&follow=${box.dataset.follow}`, { signal: mine.signal });
  if (!answer.ok) throw new Error(String(answer.status));
  let [at, waiting, due] = [end(), [], false];
  const flush = () => {
    due = false;
    if (following !== mine) return;
    const data = new Uint8Array(waiting.reduce((sum, it) => sum + it.length, 0));
    waiting.reduce((to, it) => (data.set(it, to), to + it.length), 0);
    const to = wholeTo(data);
    waiting = [data.subarray(to)];
    for (let from = Math.max(0, to - STEP * KEPT), next; from < to; from = next) {
      next = Math.min(to, from + STEP);
      if (next < to) next = from + wholeTo(data.subarray(from, next));
      const node = document.createTextNode(utf8.decode(data.subarray(from, next)));
      add({ begin: at + from, end: at + next, node });
    }
    at += to;
    scrollTo(text.scrollHeight);
    show();
  };
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return flush();
    waiting.push(value);
    if (!due) due = true, setTimeout(flush, 50);
  }
}

// Nothing more is written here; maybe elsewhere.
async function ended(mine) {
  const now = await fetched(end(), 0, mine.signal);
  following = null;
  if (now.offset < end()) return toEnd(); // A file that was begun anew.
  delete box.dataset.active;
  header();
  $("follow")?.remove();
  $("said").textContent = box.dataset.follow === "run" ? "This run has ended" : "The task has ended";
  show();
}

// What is above the window tells how the run ended.
async function header() {
  const page = await fetch(location.pathname).then((answer) => answer.text()).catch(() => "");
  const fresh = new DOMParser().parseFromString(page, "text/html").querySelector(".log-head");
  if (fresh) Idiomorph.morph(document.querySelector(".log-head"), fresh);
}

// --- Finding

let found = [];
let current = -1;
const painted = "highlights" in CSS;

function find(move) {
  const words = $("search").value.toLowerCase();
  const was = found[current];
  found = words ? pieces.flatMap(({ node }) => occurrences(node, words)) : [];
  current = move ? nearest() : found.findIndex((it) => it.startContainer === was?.startContainer && it.startOffset === was?.startOffset);
  paint();
  if (words) $("said").textContent = found.length ? `${Math.max(0, current) + 1} of ${found.length} found here` : "Not found in what is shown";
  if (move) reveal();
}

function occurrences(node, words) {
  const [all, data] = [[], node.data.toLowerCase()];
  for (let at = data.indexOf(words); at >= 0 && all.length < 5000; at = data.indexOf(words, at + words.length)) {
    all.push(new StaticRange({ startContainer: node, startOffset: at, endContainer: node, endOffset: at + words.length }));
  }
  return all;
}

// The first one that is in view or below it.
function nearest() {
  const top = text.getBoundingClientRect().top;
  let [low, high] = [0, found.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rect(found[middle]).top < top) low = middle + 1;
    else high = middle;
  }
  return found.length ? low % found.length : -1;
}

function rect(it) {
  const range = new Range();
  range.setStart(it.startContainer, it.startOffset);
  range.setEnd(it.endContainer, it.endOffset);
  return range.getBoundingClientRect();
}

function paint() {
  if (!painted) return;
  CSS.highlights.set("found", new Highlight(...found));
  CSS.highlights.set("current", new Highlight(...found.slice(current, current + 1)));
}

function reveal() {
  if (current < 0) return;
  stop();
  const place = rect(found[current]);
  const frame = text.getBoundingClientRect();
  if (place.top < frame.top || place.bottom > frame.bottom) scrollTo(text.scrollTop + place.top - frame.top - frame.height / 3);
  $("follow")?.setAttribute("aria-pressed", "false");
}

function step(by) {
  if (!found.length) return;
  current = (current + by + found.length) % found.length;
  paint();
  $("said").textContent = `${current + 1} of ${found.length} found here`;
  reveal();
}

// --- What the reader does

const wrap = () => $("wrap").setAttribute("aria-pressed", String(text.classList.toggle("wrap")));
const toggle = () => (following ? (stop(), show()) : end() < size ? toEnd() : follow());
const link = (id, act) => $(id)?.addEventListener("click", (event) => (event.preventDefault(), act()));
link("begin", () => jump(first));
link("earlier", async () => (stop(), await earlier(), scrollTo(0)));
link("later", async () => (await later(), scrollTo(text.scrollTop + text.clientHeight)));
link("end", toEnd);
$("wrap").addEventListener("click", wrap);
$("follow")?.addEventListener("click", toggle);
$("search").addEventListener("input", () => find(true));
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") ($("search").value = ""), find(false), text.focus();
});

$("at").addEventListener("input", ({ target }) => {
  $("place").textContent = `${bytes(first + Number(target.value))} of ${bytes(size)}`;
  clearTimeout(dragged);
  dragged = setTimeout(async () => {
    const to = first + Number(target.value);
    await (to >= size - STEP / 2 ? toEnd() : jump(to));
    dragged = null;
  }, 120);
});

text.addEventListener("scroll", async () => {
  if (quiet) return;
  if (following && !atBottom()) stop(), show();
  if (text.scrollTop < 400) await earlier();
  if (following || !atBottom()) return;
  await later();
  if (end() >= size && atBottom()) follow();
}, { passive: true });

// Whoever wants to go up goes up, however much comes in below; and at the top no event says that somebody would.
function up() {
  if (following) stop(), show();
  if (text.scrollTop < 400) earlier();
}
text.addEventListener("wheel", ({ deltaY }) => deltaY < 0 && up(), { passive: true });
text.addEventListener("keydown", ({ key, ctrlKey }) => !ctrlKey && ["ArrowUp", "PageUp", "Home"].includes(key) && up());
text.addEventListener("touchmove", () => text.scrollTop < 400 && earlier(), { passive: true });

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input") || event.altKey || event.metaKey) return;
  const act = event.ctrlKey ? { Home: () => jump(first), End: toEnd }[event.key] : { f: toggle, w: wrap }[event.key];
  if (act && ("active" in box.dataset || act !== toggle)) event.preventDefault(), act();
});

// A browser has six connections to a host, and somebody may have many tabs open.
let resume = false;
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return void (resume && follow());
  resume = following !== null;
  stop();
});

text.replaceChildren(document.createTextNode(text.textContent));
pieces = [{ begin: Number(box.dataset.offset), end: Number(box.dataset.end), node: text.firstChild }];
const isTail = "atEnd" in box.dataset;
if (isTail) scrollTo(text.scrollHeight);
show();
if (isTail) follow();
