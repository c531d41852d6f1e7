// A log that goes on. The page comes with its end; this adds what is written, and what was before.
"use strict";

const STEP = 256 * 1024;
const KEPT = 4 * 1024 * 1024; // Characters in the page; whoever wants more downloads the log.
const box = document.getElementById("log");
const text = document.getElementById("log-text");
const $ = (id) => document.getElementById("log-" + id);
let { source } = box.dataset;
let [offset, end, size] = [box.dataset.offset, box.dataset.end, box.dataset.size].map(Number);
let following = null; // What stops it.
let loading = false;

const bytes = (n) => {
  const unit = Math.min(4, Math.floor(Math.log2(Math.max(n, 1)) / 10));
  const scaled = n / 1024 ** unit;
  return `${Number.isInteger(scaled) || scaled >= 100 ? Math.floor(scaled) : scaled.toFixed(1)} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
};
const atBottom = () => text.scrollHeight - text.scrollTop - text.clientHeight < 40;
const toBottom = () => (text.scrollTop = text.scrollHeight);

function show() {
  size = Math.max(size, end);
  $("at").textContent = size === 0 ? "empty so far" : `${bytes(offset)} – ${bytes(end)} of ${bytes(size)}`;
  $("follow").setAttribute("aria-pressed", String(following !== null));
}

function append(piece) {
  const stay = !atBottom();
  text.append(piece);
  while (text.textContent.length > KEPT && text.childNodes.length > 1) {
    offset += new TextEncoder().encode(text.firstChild.data).length;
    text.firstChild.remove();
  }
  if (!stay) toBottom();
}

async function piece(from, length, signal) {
  const answer = await fetch(`${source}?offset=${from}&length=${length}`, { signal });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  const data = new Uint8Array(await answer.arrayBuffer());
  const begin = Number(answer.headers.get("airglow-log-offset"));
  size = Number(answer.headers.get("airglow-log-size"));
  return { data, begin, text: new TextDecoder().decode(data) };
}

async function once(load) {
  if (loading) return;
  loading = true;
  try {
    await load();
  } catch (error) {
    if (error.name !== "AbortError") $("at").textContent = error.message || "The scheduler does not answer";
  }
  loading = false;
}

const replace = (from) => once(async () => {
  stop();
  const got = await piece(from, STEP);
  text.replaceChildren(got.text);
  [offset, end] = [got.begin, got.begin + got.data.length];
  show();
});

const earlier = () => offset > 0 && once(async () => {
  const from = Math.max(0, offset - STEP);
  const got = await piece(from, offset - from);
  const below = text.scrollHeight - text.scrollTop;
  text.prepend(got.text);
  offset = got.begin;
  text.scrollTop = text.scrollHeight - below;
  show();
});

const later = () => !following && end < size && once(async () => {
  const got = await piece(end, STEP);
  end += got.data.length;
  append(got.text);
  show();
});

function stop() {
  following?.abort();
  following = null;
}

async function follow() {
  stop();
  const mine = (following = new AbortController());
  show();
  toBottom();
  let pause = 500;
  while (following === mine) {
    try {
      const answer = await fetch(`${source}?offset=${end}&follow=1`, { signal: mine.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      const decoder = new TextDecoder();
      for (const reader = answer.body.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        pause = 500;
        end += value.length;
        append(decoder.decode(value, { stream: true }));
        show();
      }
      break; // The task has ended.
    } catch (error) {
      if (error.name === "AbortError") return;
      await new Promise((done) => setTimeout(done, (pause = Math.min(pause * 2, 10000))));
    }
  }
  if (following === mine) following = null;
  show();
}

$("begin").addEventListener("click", async () => {
  await replace(0);
  text.scrollTop = 0;
});
$("end").addEventListener("click", async () => {
  await replace(-65536);
  toBottom();
  if ("active" in box.dataset) follow();
});
$("follow").addEventListener("click", () => (following ? (stop(), show()) : follow()));
$("wrap").addEventListener("click", ({ target }) => {
  target.setAttribute("aria-pressed", String(text.classList.toggle("wrap")));
});
text.addEventListener("scroll", () => {
  if (text.scrollTop < 200) earlier();
  if (atBottom()) later();
}, { passive: true });

// A browser has six connections to a host, and somebody may have many tabs open.
let resume = false;
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return void (resume && follow());
  resume = following !== null;
  stop();
});

text.classList.add("wrap");
toBottom();
show();
if ("active" in box.dataset) follow();
