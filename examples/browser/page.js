"use strict";

/* A network that learns in a page. make_page.py joins this file with page.html and page.css, with
 * what it knows of the network, and with the program (page.c and net.c) as WebAssembly. It also
 * writes what a page has for each class, column and layer. */

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
const childrenOf = (id) => Array.from(byId(id).children);
const colour = (name) => getComputedStyle(document.body).getPropertyValue(name);
const nameOf = (output) => NETWORK.classes[output];
const best = (scores) => scores.indexOf(Math.max(...scores));
const sum = (numbers) => numbers.reduce((total, number) => total + Math.abs(number), 0);
const grouped = (number) => number.toLocaleString("en");
const say = (sentence) => (byId("status").textContent = sentence);
const onClick = (id, action) => (byId(id).onclick = action);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/* ---- The network ---- */

let program;
const state = () => new Uint8Array(program.memory.buffer, program.state(), NETWORK.state_size);
const bytesOf = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
const base64Of = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

/* What the network is shown of a value: of a pixel, or of a cell of a table, which is a number, a
 * category, or "" where it is missing. A category that is not known is shown without any. */
function featuresOf(value, i) {
  const { categories, present, missing, times, over } = NETWORK.columns[i] ?? NETWORK;
  if (categories) return categories.map((category) => (category === value ? present : 0));
  return value === "" ? missing : [(value * times) / over, 0].slice(0, missing.length);
}

/* What the units of some layers sent in the last sample: [layer][step][unit]. */
function recorded(sent, sizes) {
  return sizes.map((size, layer) => {
    const first = sum(sizes.slice(0, layer));
    return Array.from({ length: program.steps() }, (_, step) =>
      Array.from({ length: size }, (_, unit) => sent(step, first + unit)));
  });
}

/* Show a sample, and learn from it if it has a label. Where a number would leave its type, nothing
 * is learned, and null returned. */
function show(values, label = NO_LABEL) {
  values.flatMap(featuresOf).forEach((feature, unit) => program.set_input(unit, feature));
  if (program.show(label) !== OK) return null;
  const dense = NETWORK.synapses * (label === NO_LABEL ? 1 : 3);
  return {
    scores: NETWORK.classes.map((_, output) => program.score(output)),
    spikes: recorded(program.spikes, NETWORK.layers),
    errors: recorded(program.errors, NETWORK.layers.slice(1)),
    costs: [program.additions(), program.multiply_adds(), dense],
  };
}

/* What was learned, as `spikebp import-c` reads it. */
function savedBytes() {
  program.write_state();
  return state().slice();
}

/* ---- What it says ---- */

/* Draw a bar from zero. */
function drawBar(row, value, low, high, text) {
  const place = (at) => (100 * (Math.min(Math.max(at, low), high) - low)) / (high - low);
  const [from, to] = [place(Math.min(0, value)), place(Math.max(0, value))];
  const [, track, number] = row.children;
  track.firstChild.style.cssText = `left: ${from}%; width: ${to - from}%`;
  number.textContent = text;
}

function drawScores({ scores }) {
  const first = isEmpty() ? NaN : best(scores);
  childrenOf("scores").forEach((row, output) => {
    drawBar(row, scores[output] / NETWORK.asked, -0.25, 1.25, scores[output].toFixed(2));
    row.className = output === first ? "best" : "";
  });
}

function drawCosts({ costs }) {
  childrenOf("costs").forEach((row, i) =>
    drawBar(row, costs[i], 0, Math.max(...costs), grouped(costs[i])));
}

function verdict({ scores, spikes }) {
  if (isEmpty()) return "Here it says what you drew.";
  if (sum(spikes[0].flat()) === 0) return "Its input sends no spikes.";
  const order = scores.map((_, output) => output).sort((a, b) => scores[b] - scores[a]);
  const texts = order.map((output) => `${nameOf(output)} (${scores[output].toFixed(2)})`);
  return `It says ${texts.slice(0, 2).join(", then ")}.`;
}

/* Each layer is a strip, with a row for each step. If there are errors, they are the lower half. */
function drawRaster({ spikes, errors }) {
  childrenOf("raster").forEach((strip, layer) => {
    const canvas = strip.querySelector("canvas"), context = canvas.getContext("2d");
    const sent = spikes[layer], back = errors[layer - 1] ?? [];
    const [nSent, nBack] = [sum(sent.flat()), sum(back.flat())];
    strip.querySelector("span").textContent = `${nSent} spikes${nBack ? `, ${nBack} errors` : ""}`;
    const [width, height] = [canvas.width / sent[0].length, canvas.height / sent.length];
    const part = nBack ? height / 2 : height;
    const drawRows = (rows, name, below) => {
      context.fillStyle = colour(name);
      rows.forEach((counts, step) => counts.forEach((count, unit) => {
        context.globalAlpha = Math.min(1, 0.6 * Math.sqrt(Math.abs(count)));
        context.fillRect(unit * width, step * height + below, Math.max(2, width - 2), part - 2);
      }));
    };
    context.clearRect(0, 0, canvas.width, canvas.height);
    drawRows(sent, "--spike", 0);
    drawRows(back, "--error", part);
  });
}

/* An image as a small picture. */
function drawPicture(canvas, pixels) {
  const { side, high } = NETWORK;
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.fillStyle = colour("--text");
  pixels.forEach((pixel, i) => {
    context.globalAlpha = Math.min(1, pixel / high);
    context.fillRect(i % side, Math.floor(i / side), 1, 1);
  });
  return canvas;
}

/* ---- Input: a field to draw in ---- */

function drawStrokes(context, strokes, width) {
  Object.assign(context, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes) {
    context.beginPath();
    for (const point of [stroke[0], ...stroke]) context.lineTo(...point);
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
  const canvas = byId("field"), context = canvas.getContext("2d");
  let strokes = [], given = null, pen = [0.5, 0.3], isDown = false;

  function draw() {
    context.setTransform(canvas.width, 0, 0, canvas.height, 0, 0);
    context.clearRect(0, 0, 1, 1);
    context.imageSmoothingEnabled = false;
    if (given) context.drawImage(drawPicture(element("canvas"), given), 0, 0, 1, 1);
    context.strokeStyle = colour("--text");
    drawStrokes(context, strokes, 0.075);
    if (!canvas.matches(":focus-visible")) return;
    context.strokeStyle = colour(isDown ? "--error" : "--spike");
    drawStrokes(context, [[pen]], 0.05);
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
    if (isDown) strokes.at(-1).push(pen);
    inputChanged();
  }
  function lift() {
    isDown = false;
    inputSettled();
  }

  const placeOf = ({ offsetX, offsetY }) => [offsetX, offsetY].map((at) => at / canvas.clientWidth);
  /* A second finger does not draw. */
  const onPointer = (type, action) =>
    canvas.addEventListener(type, (event) => event.isPrimary && action(event));
  onPointer("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pen = placeOf(event);
    begin();
  });
  onPointer("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) moveTo(placeOf(event));
  });
  onPointer("lostpointercapture", lift);
  canvas.addEventListener("focus", draw);
  canvas.addEventListener("blur", () => (isDown ? lift() : draw()));
  canvas.addEventListener("keydown", (event) => {
    const within = (place) => Math.min(1 - KEY_STEP, Math.max(KEY_STEP, place));
    const { key } = event;
    if (key in KEY_MOVES)
      moveTo(pen.map((place, axis) => within(place + KEY_STEP * KEY_MOVES[key][axis])));
    else if (key === " ") {
      if (!event.repeat) (isDown ? lift : begin)();
      say(`The pen is ${isDown ? "down" : "up"}.`);
    } else if (key === "Delete" || key === "Backspace") set(null);
    else return;
    event.preventDefault();
  });
  return { draw, set, usual: null, values: () => given ?? imageOf(strokes) };
}

/* ---- Input: a field for each column, and rows of a table ---- */

function form() {
  const { columns } = NETWORK;
  const usual = columns.map((column) => column.usual);
  let values, nextRow = 0;
  const fields = childrenOf("columns").map((column) => column.querySelectorAll("input, select"));
  byId("columns").addEventListener("input", ({ target }) => {
    const i = childrenOf("columns").indexOf(target.closest("div"));
    const { value } = target.type === "checkbox" ? fields[i][0] : target;
    if (target.type === "number" && value === "") return; /* it is being typed */
    values = values.with(i, target.checked ? "" : columns[i].categories ? value : Number(value));
    inputChanged();
  });
  byId("columns").addEventListener("change", () => inputSettled());
  const draw = () => fields.forEach(([first, number, gap], i) => {
    if (!columns[i].categories) {
      gap.checked = first.disabled = number.disabled = values[i] === "";
      if (gap.checked) return;
      if (number.valueAsNumber !== values[i]) number.value = values[i]; /* "1.50" stays as it is */
    }
    first.value = values[i];
  });
  function set(cells) {
    values = cells;
    inputSettled();
  }
  byId("rows").addEventListener("input", () => (nextRow = 0));
  onClick("next-row", () => {
    const rows = rowsOf(byId("rows").value);
    if (rows.length) set(rows[nextRow++ % rows.length].values);
  });
  onClick("teach-rows", () => teachAll(rowsOf(byId("rows").value, true)));
  return { draw, set, usual, values: () => values };
}

/* The cells of a row, between what it has most of commas, semicolons and tabulators. Those in
 * quotation marks may have these in them. */
function cellsOf(row) {
  const count = (mark) => row.split(mark).length;
  const [mark] = [",", ";", "\t"].sort((one, other) => count(other) - count(one));
  const cells = (mark + row).match(new RegExp(`${mark} *("([^"]|"")*"|[^${mark}]*)`, "g"));
  return cells.map((cell) =>
    cell.slice(1).trim().replace(/^"(.*)"$/, "$1").replaceAll('""', '"').trim());
}

/* What a cell is in a column: NaN where it is not allowed. */
function valueOf({ categories, missing, usual }, cell) {
  if (categories && cell !== undefined) return cell;
  if (NETWORK.gaps.includes(cell?.toLowerCase())) return missing.length > 1 ? "" : usual;
  return cell && Number.isFinite(Number(cell)) ? Number(cell) : NaN;
}

/* The rows of a text; none where one is wrong, which is said. */
function rowsOf(text, withClass) {
  const { columns, classes } = NETWORK;
  const rows = (text.match(/.*\S.*/g) ?? []).map((row) => {
    const cells = cellsOf(row);
    const values = columns.map((column, i) => valueOf(column, cells[i]));
    return { values, label: classes.indexOf(cells[columns.length]) };
  });
  const wrong = rows.findIndex(({ values, label }) =>
    values.includes(NaN) || (withClass && label < 0));
  if (wrong < 0) return rows;
  const column = columns[rows[wrong].values.findIndex(Number.isNaN)];
  const part = column ? `number for ${column.name}` : `class: ${classes.join(", ")}`;
  say(`Row ${wrong + 1} has no ${part}.`);
  return [];
}

/* ---- Lessons ---- */

let input, atFirst;
let said; /* what it says of the input */
let kept = []; /* samples with their labels, and how often each was taught */
let lessons = []; /* for each, what there was before it */
let frame; /* in which it predicts */

const isEmpty = () => NETWORK.side && sum(input.values()) === 0;

/* The present moment: all that lessons change, as a text. */
const present = () => JSON.stringify({ learned: base64Of(savedBytes()), kept });

/* Go to a moment. Where it is refused, which is said of its name, nothing changes. */
function goTo(text, name) {
  const before = present();
  try {
    const moment = JSON.parse(text), bytes = bytesOf(moment.learned);
    state().set(bytes);
    if (bytes.length < NETWORK.state_size || program.read_state() !== OK) throw new Error(name);
    kept = moment.kept;
    learnedChanged();
    return true;
  } catch {
    goTo(before);
    say(`${name} is damaged, or of another network: nothing was changed.`);
    return false;
  }
}

/* Predict at the next picture of the screen. */
function inputChanged() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => predict());
}

/* Predict, and show that; or what a lesson has sent and cost. */
function predict(lesson) {
  said = show(input.values()) ?? said;
  input.draw();
  byId("invitation").hidden = !isEmpty();
  if (NETWORK.side) drawPicture(byId("seen"), input.values());
  drawScores(said);
  drawCosts(lesson ?? said);
  drawRaster(lesson ?? said);
}

function inputSettled(lesson) {
  predict(lesson);
  byId("verdict").textContent = verdict(said);
}

function learnedChanged(lesson) {
  inputSettled(lesson);
  drawLearned();
  const now = present();
  inStorage((storage) => (now === atFirst ? storage.removeItem(NETWORK.key)
    : storage.setItem(NETWORK.key, now)));
}

/* Show what depends on what was learned. */
function drawLearned() {
  byId("learned").textContent = grouped(program.samples_seen());
  byId("undo").disabled = lessons.length === 0;
  byId("kept").replaceChildren(...kept.map(({ values, label, times }) => {
    const now = best(show(values)?.scores ?? [NaN]);
    const isRight = now === label, is = nameOf(label), says = nameOf(now) ?? "nothing";
    const text = `${is} → ${says} ${isRight ? "✓" : "✗"}${times > 1 ? ` ×${times}` : ""}`;
    const sample = NETWORK.side ? drawPicture(element("canvas"), values)
      : element("span", {}, values.map((value) => (value === "" ? "missing" : value)).join(", "));
    const ariaLabel = `Kept as ${is}, lessons: ${times}. Now it says ${says}. Show it.`;
    const button = element("button", { type: "button", ariaLabel }, sample, text);
    button.className = isRight ? "" : "wrong";
    button.onclick = () => input.set(values);
    return element("li", {}, button);
  }));
}

/* Keep a sample: once, however often it is taught. */
function keep(values, label, taught) {
  const text = JSON.stringify(values);
  const isSame = (one) => one.label === label && JSON.stringify(one.values) === text;
  const times = taught + (kept.find(isSame)?.times ?? 0);
  kept = [...kept.filter((one) => !isSame(one)), { values, label, times }].slice(-MOST_KEPT);
}

function teachAll(samples) {
  const before = present(), earlier = nameOf(best(said.scores));
  const learned = samples.map(({ values, label }) => {
    const lesson = show(values, label);
    if (lesson) keep(values, label, 1);
    return lesson;
  }).filter(Boolean);
  if (learned.length) lessons = [...lessons, before].slice(-MOST_UNDONE);
  learnedChanged(learned.at(-1));
  const undone = samples.length - learned.length, now = nameOf(best(said.scores));
  const what = samples.length === 1 ? `as ${nameOf(samples[0].label)}` : `${samples.length} rows`;
  if (undone > 0) say(`${undone} undone, since a number would have left its type.`);
  else if (samples.length) say(`Taught ${what}. It said ${earlier}, and now says ${now}.`);
}

function undo() {
  goTo(lessons.pop());
  say("The last lesson is undone.");
}

function forget() {
  if (!confirm("Forget all that was taught and kept?")) return;
  lessons = [];
  goTo(atFirst);
  say("All is forgotten: the network is that of its file.");
}

async function load({ target }) {
  const [file] = target.files, before = present();
  const learned = base64Of(new Uint8Array(await file.arrayBuffer()));
  target.value = ""; /* so that it can be chosen again */
  if (!goTo(JSON.stringify({ learned, kept }), file.name)) return;
  lessons.push(before);
  drawLearned();
  say(`Loaded ${file.name}.`);
}

function save() {
  const href = URL.createObjectURL(new Blob([savedBytes()]));
  element("a", { href, download: "learned.bin" }).click();
  say("Saved as learned.bin, for spikebp import-c.");
}

/* Use what the browser keeps for pages. Where it keeps nothing, the page says so and goes on. */
function inStorage(use) {
  try {
    return use(localStorage);
  } catch {
    byId("storage").textContent = "this browser keeps nothing: save what it learns.";
    return null;
  }
}

/* Take up what was taught before the page was closed. */
function takeUp() {
  const stored = inStorage((storage) => storage.getItem(NETWORK.key));
  if (stored === null) return;
  const before = program.samples_seen();
  if (goTo(stored, "What the browser has kept"))
    say(`Took up what you taught it before (lessons: ${program.samples_seen() - before}).`);
}

async function start() {
  program = (await WebAssembly.instantiate(bytesOf(NETWORK.program))).instance.exports;
  atFirst = present();
  input = NETWORK.side ? drawingField() : form();
  const ifDrawn = (action) => () => (isEmpty() ? say("Draw something first.") : action());
  childrenOf("teach").forEach((button, label) => {
    button.onclick = ifDrawn(() => teachAll([{ values: input.values(), label }]));
  });
  onClick("clear", () => input.set(input.usual));
  onClick("keep", ifDrawn(() => {
    keep(input.values(), best(said.scores), 0);
    learnedChanged();
  }));
  onClick("undo", undo);
  onClick("forget", forget);
  onClick("save", save);
  byId("load").addEventListener("change", load);
  /* Pictures have the colours of the scheme. */
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => learnedChanged());
  input.set(input.usual);
  drawLearned();
  takeUp();
}

const started = start();
