// Draws an update's instances: a square each, the batches as panels. The page has one letter for each
// instance and the batches as ranges; colours and names are those of the legend.
"use strict";
(() => {
  const [LARGEST, SMALLEST] = [34, 5]; // A square's side.
  const gapOf = (size) => (size >= 12 ? 3 : size >= 7 ? 2 : 1);
  const grid = () => document.getElementById("grid");
  let squares = []; // Where each instance is, in the order in which they are drawn.
  let panels = [];
  let drawn = ""; // What the places were made for.
  let size = 0;
  let height = 0;
  let at = -1; // The square with the keyboard's focus or under the mouse.

  // --- Where everything is

  function read(text) {
    return text.split(" ").filter(Boolean).map((group) => {
      const [stage, ranges] = group.split(":");
      const instances = [];
      for (const range of ranges.split(",").filter(Boolean)) {
        const [first, last] = range.split("-").map(Number);
        for (let it = first; it <= (last ?? first); it++) instances.push(it);
      }
      return { stage, instances };
    });
  }

  function place(groups, width, side) {
    const [gap, step] = [gapOf(side), side + gapOf(side)];
    const plain = groups.length < 2;
    const pad = plain ? 0 : side >= 9 ? 6 : 4;
    const between = plain ? 0 : side >= 9 ? 10 : 6;
    const label = plain || side < 12 ? 0 : 15;
    const most = Math.max(1, Math.floor((width - 2 * pad + gap) / step));
    const wide = (count) => (plain ? most : Math.min(most, columns(count, groups.length, width, side, pad, between)));
    const made = { squares: [], panels: [] };
    let [x, y, row] = [0, 0, 0];
    groups.forEach(({ stage, instances }, number) => {
      const cols = Math.min(wide(instances.length), instances.length);
      const rows = Math.ceil(instances.length / cols);
      const box = { x, y, w: cols * step - gap + 2 * pad, h: rows * step - gap + 2 * pad + label, stage, number: number + 1 };
      if (x > 0 && x + box.w > width) [x, y, row] = [0, y + row + between, 0];
      [box.x, box.y] = [x, y];
      made.panels.push(box);
      instances.forEach((instance, i) => {
        const [left, top] = [x + pad + (i % cols) * step, y + pad + label + Math.floor(i / cols) * step];
        made.squares.push({ instance, x: left, y: top, batch: plain ? 0 : number + 1 });
      });
      x += box.w + between;
      row = Math.max(row, box.h);
    });
    return { ...made, height: y + row, plain };
  }

  // So many columns that a panel is about twice as wide as it is high, none of its rows is cut short
  // by much, and a row of panels is full.
  function columns(count, panels, width, side, pad, between) {
    const step = side + gapOf(side);
    const ideal = Math.sqrt(count * 2.2);
    let [best, least] = [Math.ceil(ideal), Infinity];
    for (let cols = Math.max(1, Math.floor(ideal * 0.5)); cols <= Math.ceil(ideal * 2); cols++) {
      const panel = cols * step - gapOf(side) + 2 * pad + between;
      if (panel - between > width) break;
      const across = Math.floor((width + between) / panel);
      const empty = (Math.ceil(count / cols) * cols - count) / count;
      const rest = (width + between - Math.min(across, panels) * panel) / width;
      const last = across < panels ? (across - (((panels - 1) % across) + 1)) / across : 0;
      const cost = empty + rest * 2 + last * 0.4 + Math.abs(Math.log(cols / ideal)) * 0.3;
      if (cost < least) [best, least] = [cols, cost];
    }
    return best;
  }

  function arrange() {
    const width = grid().clientWidth;
    const key = `${width} ${grid().dataset.groups}`;
    if (key === drawn || !width) return;
    const groups = read(grid().dataset.groups);
    const room = width < 600 ? 900 : 560;
    let made = null;
    let best = -1;
    for (let side = LARGEST; side >= SMALLEST; side--) {
      const next = place(groups, width, side);
      if (next.height > room && side > SMALLEST) continue;
      // A little smaller is better than room that nothing fills.
      const area = next.panels.reduce((sum, it) => sum + it.w * it.h, 0);
      const full = area / (width * Math.max(1, next.height)) + side / 100;
      if (full > best) [made, size, best] = [next, side, full];
      if (made && side < size - 4) break;
    }
    ({ squares, panels, height } = made);
    if (made.plain) panels = [];
    drawn = key;
  }

  // --- How it looks

  function colours() {
    const found = {};
    for (const row of document.querySelectorAll(".legend [data-letter]")) {
      const colour = getComputedStyle(row).getPropertyValue("--state").trim();
      found[row.dataset.letter] = { colour, name: row.dataset.name, glyph: row.querySelector("i").textContent };
    }
    return found;
  }

  function draw() {
    if (!grid()) return;
    arrange();
    const canvas = grid().querySelector("canvas");
    const [width, scale] = [grid().clientWidth, window.devicePixelRatio || 1];
    if (!width) return;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name).trim();
    const looks = colours();
    for (const panel of panels) outline(pen, panel, ink);
    const letters = grid().dataset.cells;
    squares.forEach((square, i) => paint(pen, square, letters[i], looks[letters[i]]?.colour ?? ink("--line"), ink));
    const chosen = squares[at];
    if (chosen) {
      pen.strokeStyle = ink("--glow");
      pen.lineWidth = 2;
      box(pen, chosen.x - 2, chosen.y - 2, size + 4, size + 4, Math.min(6, size / 3) + 1);
      pen.stroke();
    }
  }

  function box(pen, x, y, w, h, radius) {
    pen.beginPath();
    pen.roundRect(x, y, w, h, radius);
  }

  function outline(pen, { x, y, w, h, stage, number }, ink) {
    const [line, text] = { over: ["--finished", "--soft"], now: ["--running", "--ink"], right: ["--line", "--faint"] }[stage] ?? ["--line", "--faint"];
    pen.globalAlpha = stage === "over" ? 0.45 : 1;
    pen.strokeStyle = ink(line);
    pen.lineWidth = stage === "now" ? 2 : 1;
    pen.setLineDash(stage === "next" ? [3, 3] : []);
    box(pen, x + 0.5, y + 0.5, w - 1, h - 1, 7);
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    if (size < 12) return;
    pen.fillStyle = ink(text);
    pen.font = `500 10.5px ${getComputedStyle(document.body).fontFamily}`;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(String(number), x + 7, y + 12);
  }

  // Every state has a shape of its own as well as a colour.
  function paint(pen, { x, y, instance }, letter, colour, ink) {
    const radius = Math.min(6, size / 4);
    const half = size / 2;
    pen.fillStyle = pen.strokeStyle = colour;
    const faint = (alpha) => {
      pen.globalAlpha = alpha;
      box(pen, x, y, size, size, radius);
      pen.fill();
      pen.globalAlpha = 1;
    };
    const ring = () => {
      pen.lineWidth = size >= 12 ? 1.5 : 1;
      box(pen, x + 0.75, y + 0.75, size - 1.5, size - 1.5, radius);
      pen.stroke();
    };
    // Too small for shapes: red is failed, and the rest is light or dark.
    if (size < 7) return faint({ w: 0.38, u: 0.5, h: 0.6, p: 0.6, e: 0.7, l: 0.6 }[letter] ?? 0.92);
    if (letter === "w") {
      faint(0.3);
      if (size >= 12) (pen.globalAlpha = 0.6), ring(), (pen.globalAlpha = 1);
    } else if (letter === "h" || letter === "p") {
      faint(0.12);
      ring();
    } else if (letter === "e" || letter === "l") {
      faint(0.25);
      pen.save();
      box(pen, x, y, size, size, radius);
      pen.clip();
      pen.fillRect(x, y, half, size);
      pen.restore();
    } else if (letter === "s") {
      faint(0.28);
      pen.fillRect(x + half, y + half, half - radius / 2, half - radius / 2);
      ring();
    } else if (letter === "r") {
      ring();
      const inset = Math.max(2, size * 0.22);
      box(pen, x + inset, y + inset, size - 2 * inset, size - 2 * inset, radius / 2);
      pen.fill();
    } else if (letter === "f") {
      faint(1);
      const inset = size * 0.3;
      pen.strokeStyle = ink("--card");
      pen.lineWidth = Math.max(1, size / 9);
      pen.beginPath();
      pen.moveTo(x + inset, y + inset);
      pen.lineTo(x + size - inset, y + size - inset);
      pen.moveTo(x + size - inset, y + inset);
      pen.lineTo(x + inset, y + size - inset);
      pen.stroke();
    } else if (letter === "b") {
      faint(0.35);
      ring();
    } else if (letter === "u") {
      faint(0.35);
    } else faint(size >= 12 ? 0.8 : 0.9);
    if (size < 21) return;
    const solid = letter === "d";
    if (!solid && !"whpbu".includes(letter)) return;
    pen.fillStyle = solid ? ink("--card") : letter === "b" ? ink("--ink") : ink("--soft");
    pen.font = `600 ${Math.round(size * 0.36)}px ${getComputedStyle(document.body).fontFamily}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(String(instance), x + half, y + half + 0.5);
  }

  // --- Looking closer

  function choose(index) {
    at = index;
    const square = squares[at];
    const tip = grid().querySelector(".tip");
    const say = (text) => tip.textContent === text || (tip.textContent = text); // Or it would be read out again.
    if (!square) say("");
    else {
      const look = colours()[grid().dataset.cells[at]];
      const batch = square.batch ? ` · batch ${square.batch}` : "";
      say(`Instance ${square.instance} · ${look?.name ?? ""}${batch}`);
      const left = Math.min(Math.max(0, square.x + size / 2 - tip.offsetWidth / 2), grid().clientWidth - tip.offsetWidth);
      tip.style.left = `${left}px`;
      tip.style.top = `${square.y + size + 6}px`;
    }
    draw();
  }

  function under(event) {
    const frame = grid().querySelector("canvas").getBoundingClientRect();
    const [x, y, slack] = [event.clientX - frame.left, event.clientY - frame.top, gapOf(size) / 2];
    return squares.findIndex((it) => it.x - slack <= x && x < it.x + size + slack && it.y - slack <= y && y < it.y + size + slack);
  }

  // The nearest square above or below.
  function beside(down) {
    const from = squares[at];
    let best = at;
    let least = Infinity;
    squares.forEach((it, i) => {
      const dy = down ? it.y - from.y : from.y - it.y;
      if (dy < size) return;
      const far = dy * 4 + Math.abs(it.x - from.x);
      if (far < least) [best, least] = [i, far];
    });
    return best;
  }

  const open = (index) => squares[index] && (location.href = grid().dataset.base + squares[index].instance);

  function key(event) {
    const last = squares.length - 1;
    const now = Math.max(0, at);
    if (event.key === "Enter" || event.key === " ") return event.preventDefault(), open(at);
    if (event.key === "Escape") return choose(-1);
    const to = { ArrowRight: () => Math.min(last, at + 1), ArrowLeft: () => Math.max(0, now - 1), ArrowDown: () => (at < 0 ? 0 : beside(true)), ArrowUp: () => (at < 0 ? 0 : beside(false)), Home: () => 0, End: () => last }[event.key];
    if (!to) return;
    event.preventDefault();
    choose(to());
  }

  function begin() {
    const canvas = grid()?.querySelector("canvas");
    if (canvas && !canvas.dataset.begun) {
      canvas.dataset.begun = "yes";
      canvas.addEventListener("mousemove", (event) => {
        const index = under(event);
        if (index !== at) choose(index);
        canvas.style.cursor = index < 0 ? "" : "pointer";
      });
      canvas.addEventListener("mouseleave", () => choose(-1));
      canvas.addEventListener("click", (event) => open(under(event)));
      canvas.addEventListener("keydown", key);
      canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && at < 0 && choose(0));
      canvas.addEventListener("blur", () => choose(-1));
      new ResizeObserver(draw).observe(grid());
    }
    if (grid() && at >= 0) choose(at);
    else draw();
  }

  document.addEventListener("arrived", begin);
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", draw);
  begin();
})();
