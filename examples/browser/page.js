"use strict";

/* A network that learns in a page. make_page.py joins this file with page.html and page.css, with
 * what it knows of the network, and with the program (page.c and net.c) as WebAssembly. */

const NETWORK = JSON.parse(document.getElementById("network").textContent);
const NO_LABEL = -1;
const OK = 0;
const MOST_UNDONE = 100;
const MOST_KEPT = 24;

/* How a drawing becomes an image: the longer side of the drawing and the width of the pen, in
 * pixels, and whether its centre of mass comes to the middle of the image, or its own middle. */
const FITTED = {
  28: { box: 20, pen: 2.3, byMass: true },
  8: { box: 8, pen: 1.2, byMass: false },
};
const SMALLEST_DRAWING = 0.1; /* of the field; what is smaller is not enlarged further */
const KEY_STEP = 0.04;
const KEY_MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const byId = (id) => document.getElementById(id);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const nameOf = (output) => NETWORK.classes[output];
const best = (scores) => scores.indexOf(Math.max(...scores));
const sum = (numbers) => numbers.reduce((total, number) => total + Math.abs(number), 0);
const grouped = (number) => number.toLocaleString("en");
const say = (sentence) => (byId("status").textContent = sentence);
const onClick = (id, action) => byId(id).addEventListener("click", action);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/* ---- The network ---- */

let program;
const memory = () => new Uint8Array(program.memory.buffer);
const state = () => memory().subarray(program.state(), program.state() + NETWORK.state_size);

/* What the units of some layers sent in the last sample: [layer][step][unit]. */
function recorded(sent, sizes) {
  let end = 0;
  return sizes.map((size) => {
    const first = end;
    end += size;
    return Array.from({ length: program.steps() }, (_, step) =>
      Array.from({ length: size }, (_, unit) => sent(step, first + unit)));
  });
}

/* Show a sample, and learn from it if it has a label. Where a number would leave its type, nothing
 * is learned, and null returned. */
function show(values, label = NO_LABEL) {
  values.forEach((value, unit) => program.set_input(unit, value * NETWORK.factor));
  if (program.show(label) !== OK) return null;
  return {
    learns: label !== NO_LABEL,
    scores: NETWORK.classes.map((_, output) => program.score(output)),
    spikes: recorded(program.spikes, NETWORK.layers),
    errors: recorded(program.errors, NETWORK.layers.slice(1)),
    additions: program.additions(),
    multiplyAdds: program.multiply_adds(),
    dense: NETWORK.synapses * (label === NO_LABEL ? 1 : 3),
  };
}

/* What was learned, as `spikebp import-c` reads it. */
function savedBytes() {
  program.write_state();
  return state().slice();
}

/* Take what was saved. Where it is refused, memory holds nothing of use. */
function takeBytes(bytes) {
  if (bytes.length !== NETWORK.state_size) return false;
  state().set(bytes);
  return program.read_state() === OK;
}

/* ---- What it says ---- */

/* Draw bars from zero, with a mark where one is asked for. */
function drawBars(list, rows, low, high, mark = low) {
  const place = (value) => (100 * (Math.min(Math.max(value, low), high) - low)) / (high - low);
  list.replaceChildren(...rows.map(({ name, value, text, isBest }) => {
    const [from, to] = [place(Math.min(0, value)), place(Math.max(0, value))];
    const track = element("span", { className: "track" },
      element("span", { style: `left: ${from}%; width: ${to - from}%` }),
      element("i", { style: `left: ${place(mark)}%`, hidden: mark === low }));
    const number = element("span", { className: "number" }, text);
    const row = { className: isBest ? "best" : "" };
    return element("li", row, element("span", {}, name), track, number);
  }));
}

function drawScores({ scores }) {
  const rows = scores.map((value, output) =>
    ({ name: nameOf(output), value, text: value.toFixed(2), isBest: output === best(scores) }));
  const { target } = NETWORK;
  drawBars(byId("scores"), rows, -0.25 * target, 1.25 * target, target);
}

function announce({ scores, spikes }) {
  const order = scores.map((_, output) => output).sort((a, b) => scores[b] - scores[a]);
  const texts = order.map((output) => `${nameOf(output)} (${scores[output].toFixed(2)})`);
  const isSilent = sum(spikes[0].flat()) === 0;
  byId("verdict").textContent = isSilent ? "Its input sends no spikes."
    : `It says ${texts.slice(0, 2).join(", then ")}.`;
}

function drawCosts({ additions, multiplyAdds, dense }) {
  const costs = { Additions: additions, "Multiply-adds": multiplyAdds, "A dense network": dense };
  const rows = Object.entries(costs).map(([name, n]) => ({ name, value: n, text: grouped(n) }));
  drawBars(byId("costs"), rows, 0, Math.max(...Object.values(costs)));
}

/* Each layer is a strip, with a row for each step. Where it learned, errors are the lower half. */
function drawRaster({ spikes, errors, learns }) {
  byId("raster").querySelectorAll("canvas").forEach((canvas, layer) => {
    const sent = spikes[layer], back = (learns && errors[layer - 1]) || null;
    const name = layer === 0 ? "Input" : layer < errors.length ? `Layer ${layer}` : "Output";
    const said = `${name}, ${sent[0].length} units: ${sum(sent.flat())} spikes`
      + (back ? `, ${sum(back.flat())} errors` : "");
    canvas.previousSibling.textContent = said;
    canvas.setAttribute("aria-label", said);
    canvas.width = canvas.clientWidth * devicePixelRatio;
    canvas.height = canvas.clientHeight * devicePixelRatio;
    const [width, height] = [canvas.width / sent[0].length, canvas.height / sent.length];
    const part = back ? height / 2 : height;
    const context = canvas.getContext("2d");
    const drawRows = (rows, name, below) => {
      context.fillStyle = colour(name);
      rows.forEach((counts, step) => counts.forEach((count, unit) => {
        context.globalAlpha = count === 0 ? 0 : Math.min(1, 0.55 + 0.15 * Math.abs(count));
        context.fillRect(unit * width, step * height + below, Math.max(1, width - 1), part - 1);
      }));
    };
    drawRows(sent, "--spike", 0);
    if (back) drawRows(back, "--error", part);
  });
}

/* A sample as a small picture: an image, or a row of its features. */
function drawPicture(canvas, values) {
  const width = NETWORK.side || values.length;
  Object.assign(canvas, { width, height: values.length / width });
  const context = canvas.getContext("2d");
  const [low, high] = [Math.min(NETWORK.low, ...values), Math.max(NETWORK.high, ...values)];
  context.fillStyle = colour("--text");
  values.forEach((value, i) => {
    context.globalAlpha = (value - low) / (high - low);
    context.fillRect(i % width, Math.floor(i / width), 1, 1);
  });
  return canvas;
}

/* ---- Input: a field to draw in ---- */

function drawStrokes(context, strokes, width) {
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  for (const [first, ...others] of strokes) {
    context.beginPath();
    context.moveTo(...first);
    for (const point of [first, ...others]) context.lineTo(...point);
    context.stroke();
  }
}

/* The ink of each pixel, from 0 to 1, where a place of the field comes to the middle. */
function inkOf(strokes, scale, [x, y]) {
  const { side } = NETWORK;
  const canvas = element("canvas", { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.setTransform(scale, 0, 0, scale, side / 2 - scale * x, side / 2 - scale * y);
  drawStrokes(context, strokes, FITTED[side].pen / scale);
  const { data } = context.getImageData(0, 0, side, side);
  return Array.from({ length: side * side }, (_, i) => data[4 * i + 3] / 255);
}

/* The image of a drawing, wherever and however large it was drawn. */
function imageOf(strokes) {
  const { side, high } = NETWORK, { box, pen, byMass } = FITTED[side];
  if (strokes.length === 0) return new Array(side * side).fill(0);
  const ranges = [0, 1].map((axis) => strokes.flat().map((point) => point[axis]))
    .map((places) => [Math.min(...places), Math.max(...places)]);
  const longer = Math.max(SMALLEST_DRAWING, ...ranges.map(([from, to]) => to - from));
  const scale = (box - pen) / longer;
  const middle = ranges.map(([from, to]) => (from + to) / 2);
  let ink = inkOf(strokes, scale, middle);
  if (byMass) {
    const mean = (place) => ink.reduce((total, v, i) => total + v * place(i), 0) / sum(ink);
    const mass = [mean((i) => (i % side) + 0.5), mean((i) => Math.floor(i / side) + 0.5)];
    ink = inkOf(strokes, scale, middle.map((at, axis) => at + (mass[axis] - side / 2) / scale));
  }
  return ink.map((v) => (high > 1 ? Math.round(v * high) : v * high));
}

function drawingField() {
  const canvas = element("canvas", { id: "field", tabIndex: 0, width: 480, height: 480 });
  const context = canvas.getContext("2d");
  let strokes = [], given = null, pen = [0.5, 0.3], isDown = false;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Field to draw in");
  canvas.setAttribute("aria-describedby", "keys");

  function draw() {
    context.setTransform(canvas.width, 0, 0, canvas.height, 0, 0);
    context.clearRect(0, 0, 1, 1);
    context.imageSmoothingEnabled = false;
    if (given) context.drawImage(drawPicture(element("canvas"), given), 0, 0, 1, 1);
    context.strokeStyle = colour("--text");
    drawStrokes(context, strokes, 0.075);
    if (!canvas.matches(":focus-visible")) return;
    context.strokeStyle = colour(isDown ? "--error" : "--spike");
    context.lineWidth = 0.01;
    context.beginPath();
    context.arc(...pen, 0.05, 0, 2 * Math.PI);
    context.stroke();
  }
  function set(values) {
    [strokes, given, isDown] = [[], values, false];
    inputSettled();
  }
  function begin() {
    [given, isDown] = [null, true];
    strokes.push([pen]);
    inputChanged();
  }
  function moveTo(place) {
    pen = place;
    if (isDown) strokes[strokes.length - 1].push(pen);
    inputChanged();
  }
  function lift() {
    isDown = false;
    inputSettled();
  }

  const placeOf = ({ offsetX, offsetY }) =>
    [offsetX / canvas.clientWidth, offsetY / canvas.clientHeight];
  let pointer = null; /* the one that draws: a second finger does not */
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    pen = placeOf(event);
    begin();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId === pointer) moveTo(placeOf(event));
  });
  canvas.addEventListener("lostpointercapture", (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    lift();
  });
  canvas.addEventListener("focus", draw);
  canvas.addEventListener("blur", () => (isDown ? lift() : draw()));
  canvas.addEventListener("keydown", (event) => {
    const within = (place) => Math.min(1 - KEY_STEP, Math.max(KEY_STEP, place));
    const { key } = event;
    if (key in KEY_MOVES)
      moveTo(pen.map((place, axis) => within(place + KEY_STEP * KEY_MOVES[key][axis])));
    else if (key === " ") {
      if (isDown && !event.repeat) lift();
      else if (!event.repeat) begin();
      say(`The pen is ${isDown ? "down" : "up"}.`);
    } else if (key === "Delete" || key === "Backspace") set(null);
    else return;
    event.preventDefault();
  });
  byId("input").append(canvas, element("p", { id: "keys", className: "note" },
    "With keys: arrows move the pen, space lowers or lifts it, Delete clears."));
  const values = () => given ?? imageOf(strokes);
  return { title: "Draw", draw, set, clear: () => set(null), values };
}

/* ---- Input: a slider for each feature, and rows of a table ---- */

function sliders() {
  const { low, high, features } = NETWORK;
  let values = features.map(() => (low + high) / 2), nextRow = 0;
  const parts = features.map((feature, i) => {
    const range = { type: "range", step: "any", min: low, max: high };
    const slider = element("input", { id: `feature-${i}`, ...range });
    slider.addEventListener("input", () => {
      values = values.map((value, j) => (j === i ? Number(slider.value) : value));
      inputChanged();
    });
    slider.addEventListener("change", inputSettled);
    const number = element("output");
    const label = element("label", { htmlFor: slider.id }, feature);
    byId("input").append(element("div", { className: "slider" }, label, slider, number));
    return { slider, number };
  });
  /* A table may have values beyond the ends of a slider. */
  const draw = () => parts.forEach(({ slider, number }, i) => {
    slider.min = Math.min(slider.min, values[i]);
    slider.max = Math.max(slider.max, values[i]);
    slider.value = values[i];
    number.textContent = Number(values[i].toPrecision(4));
  });
  function set(numbers) {
    values = numbers;
    inputSettled();
  }

  const text = element("textarea", { id: "rows", rows: 4, spellcheck: false });
  const next = element("button", { type: "button" }, "Show the next row");
  const teach = element("button", { type: "button" }, "Teach all rows");
  text.addEventListener("input", () => (nextRow = 0));
  next.addEventListener("click", () => {
    const rows = rowsOf(text.value);
    if (rows.length > 0) set(rows[nextRow++ % rows.length].values);
  });
  teach.addEventListener("click", () => teachAll(rowsOf(text.value, true)));
  byId("input").append(element("details", {}, element("summary", {}, "Paste rows"),
    element("label", { htmlFor: "rows" }, `${features.length} numbers, and to teach them a class`),
    text, element("div", { className: "row" }, next, teach)));
  const clear = () => set(features.map(() => (low + high) / 2));
  return { title: "Set its input", draw, set, clear, values: () => values };
}

/* The rows of a text; none where one is wrong, which is said. */
function rowsOf(text, withClass = false) {
  const [n] = NETWORK.layers;
  const rows = text.split("\n").filter((line) => line.trim()).map((line) => {
    const cells = line.trim().split(/\s*[,;\t]\s*|\s+/);
    const values = cells.slice(0, n).map((cell) => (cell === "" ? NaN : Number(cell)));
    return { values, label: NETWORK.classes.indexOf(cells[n]) };
  });
  const wrong = rows.findIndex(({ values, label }) =>
    values.length < n || !values.every(Number.isFinite) || (withClass && label < 0));
  if (wrong < 0) return rows;
  const then = withClass ? `, and then one of ${NETWORK.classes.join(", ")}` : "";
  say(`Row ${wrong + 1} must have ${n} numbers${then}.`);
  return [];
}

/* ---- Lessons ---- */

let input, atFirst;
let last; /* the sample whose spikes are shown */
let said; /* what it says of the input */
let kept = []; /* samples with their labels */
let lessons = []; /* for each, what there was before it */
let isWaiting = false;

/* The program has no memory but this, so that a copy of it is all that was learned. */
const snapshot = () => ({ learned: memory().slice(), kept });

function goTo(moment) {
  memory().set(moment.learned);
  kept = moment.kept;
  drawLearned();
  inputSettled();
}

/* Predict at the next picture of the screen. */
function inputChanged() {
  if (!isWaiting) requestAnimationFrame(predict);
  isWaiting = true;
}

function inputSettled() {
  predict();
  announce(said);
}

function predict() {
  isWaiting = false;
  said = show(input.values()) ?? said;
  last = said;
  draw();
}

function draw() {
  input.draw();
  drawPicture(byId("seen"), input.values());
  drawScores(said);
  drawCosts(last);
  drawRaster(last);
}

/* Show what depends on what was learned. */
function drawLearned() {
  const seen = grouped(program.samples_seen());
  byId("about").textContent = `${NETWORK.layers.join("–")} units, ${seen} samples learned.`;
  byId("undo").disabled = lessons.length === 0;
  byId("kept").replaceChildren(...kept.map(({ values, label }) => {
    const now = best(show(values)?.scores ?? [NaN]);
    const isRight = now === label, is = nameOf(label), says = nameOf(now) ?? "nothing";
    const button = element("button", { type: "button", className: isRight ? "" : "wrong" },
      drawPicture(element("canvas"), values), `${is} → ${says} ${isRight ? "✓" : "✗"}`);
    button.setAttribute("aria-label", `Kept as ${is}: now it says ${says}. Show it.`);
    button.addEventListener("click", () => input.set(values));
    return element("li", {}, button);
  }));
}

const keep = (values, label) => (kept = [...kept, { values, label }].slice(-MOST_KEPT));

function teachAll(samples) {
  const before = snapshot();
  const learned = samples.filter(({ values, label }) => {
    const sample = show(values, label);
    if (sample === null) return false;
    last = sample;
    keep(values, label);
    return true;
  });
  if (learned.length > 0) lessons = [...lessons, before].slice(-MOST_UNDONE);
  const earlier = nameOf(best(said.scores));
  said = show(input.values()) ?? said;
  draw();
  announce(said);
  drawLearned();
  const undone = samples.length - learned.length, now = nameOf(best(said.scores));
  const what = learned.length === 1 ? `as ${nameOf(learned[0].label)}` : `${learned.length} rows`;
  if (undone > 0) say(`${undone} undone, since a number would have left its type.`);
  else if (samples.length > 0) say(`Taught ${what}. It said ${earlier}, and now says ${now}.`);
}

function undo() {
  goTo(lessons.pop());
  say("The last lesson is undone.");
}

function forget() {
  lessons = [];
  goTo(atFirst);
  say("All is forgotten: the network is again what it was in the file.");
}

async function load(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const before = snapshot();
  if (!takeBytes(bytes)) {
    memory().set(before.learned);
    say(`${file.name} is damaged, or of another network: nothing was changed.`);
    return;
  }
  lessons.push(before);
  goTo(snapshot());
  say(`Loaded ${file.name}.`);
}

function save() {
  const href = URL.createObjectURL(new Blob([savedBytes()]));
  element("a", { href, download: "learned.bin" }).click();
  setTimeout(() => URL.revokeObjectURL(href), 1000);
  say("Saved as learned.bin, which spikebp import-c reads.");
}

/* ---- The page ---- */

function addParts() {
  const height = Math.min(12, Math.max(4, 110 / NETWORK.steps)) * NETWORK.steps;
  NETWORK.layers.forEach(() => {
    const canvas = element("canvas", { style: `height: ${height}px` });
    canvas.setAttribute("role", "img");
    byId("raster").append(element("p"), canvas);
  });
  NETWORK.classes.forEach((name, label) => {
    const button = element("button", { type: "button" }, name);
    button.setAttribute("aria-label", `That was ${name}`);
    button.addEventListener("click", () => {
      const values = input.values();
      if (NETWORK.side && sum(values) === 0) say("Draw something first.");
      else teachAll([{ values, label }]);
    });
    byId("teach").append(button);
  });
  input = NETWORK.side ? drawingField() : sliders();
  byId("input-title").textContent = input.title;
  byId("seen").closest("figure").hidden = !NETWORK.side;
}

async function start() {
  const bytes = Uint8Array.from(atob(NETWORK.program), (letter) => letter.charCodeAt(0));
  program = (await WebAssembly.instantiate(bytes)).instance.exports;
  atFirst = snapshot();
  addParts();
  onClick("clear", () => input.clear());
  onClick("keep", () => {
    keep(input.values(), best(said.scores));
    drawLearned();
  });
  onClick("undo", undo);
  onClick("forget", forget);
  onClick("save", save);
  byId("load").addEventListener("change", async ({ target }) => {
    if (target.files.length > 0) await load(target.files[0]);
    target.value = ""; /* so that the same file can be chosen again */
  });
  const redraw = () => {
    draw();
    drawLearned();
  };
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  drawLearned();
  input.clear();
}

const started = start();
