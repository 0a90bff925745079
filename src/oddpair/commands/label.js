"use strict";

// Every text of others reaches the page as text, never as HTML.
const LOADS = 4; // Browsers open six connections: labels must never wait for pictures.
const state = { items: [], classes: [], marked: 0, side: 5, rest: false, captions: false, zoom: false, pass: false };
const find = (id) => document.getElementById(id);
const started = performance.now();
let labelled = 0;
let last = Promise.resolve();

// One request that writes after another, in the order of the keys.
function post(path, body) {
  const answer = last.then(async () => {
    const reply = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    });
    if (!reply.ok) throw new Error(await reply.text());
    return reply.json();
  });
  last = answer.catch(() => {});
  return answer;
}

function fail(error) {
  const lost = error instanceof TypeError;
  find("error").textContent = lost
    ? "Not saved: the server does not answer. Start oddpair label again, and open the address that it prints."
    : `Not saved: ${error.message}`;
  find("error").hidden = false;
}

function tell(counts) {
  find("error").hidden = true;
  const hours = (performance.now() - started) / 3600000;
  const rate = labelled >= 20 ? `, ${Math.round(labelled / hours).toLocaleString("en")} an hour` : "";
  const unseen = counts.unseen ? `, ${counts.unseen.toLocaleString("en")} cannot be shown` : "";
  find("count").textContent =
    `${counts.done.toLocaleString("en")} saved, ${counts.left.toLocaleString("en")} left${unseen}${rate}`;
}

async function load(passed, first = false) {
  try {
    const page = await post("page", { size: state.side * state.side, passed });
    Object.assign(state, { items: page.items, classes: page.classes, marked: 0, rest: false, pass: false });
    find("who").textContent = `${page.review ? "Review" : "Labels"} by ${page.annotator}`;
    find("end").hidden = page.items.length > 0;
    const usual = ["natural", "rendition", "ambiguous"];
    find("styles").hidden = !page.classes.every((name) => usual.includes(name));
    tell(page);
    drawLabels();
    drawGrid();
    window.scrollTo(0, 0);
    if (first && !page.done && page.items.length) help(true);
  } catch (error) {
    fail(error);
  }
}

function drawLabels() {
  find("labels").replaceChildren(...state.classes.map((name, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = `label-${place + 1}`;
    button.setAttribute("aria-keyshortcuts", String(place + 1));
    const key = document.createElement("kbd");
    key.textContent = `${place + 1}`;
    button.append(key, ` ${name}`);
    button.addEventListener("click", () => choose(name));
    return button;
  }));
}

function drawGrid() {
  const tiles = state.items.map((item, place) => {
    const tile = document.createElement("button");
    tile.type = "button";
    const image = document.createElement("img");
    image.alt = "";
    const name = document.createElement("span");
    name.className = "name";
    const caption = document.createElement("span");
    caption.className = "caption";
    tile.append(image, caption, name);
    tile.addEventListener("click", () => mark(place));
    item.tile = tile;
    const cell = document.createElement("li");
    cell.append(tile);
    return cell;
  });
  find("grid").replaceChildren(...tiles);
  size();
  state.items.forEach(show);
  mark(0);
  loadPictures(state.items);
}

function loadPictures(items) {
  const waiting = items.slice();
  const follow = () => {
    const item = waiting.shift();
    if (!item || items !== state.items) return;
    const image = item.tile.querySelector("img");
    image.addEventListener("load", follow, { once: true });
    image.addEventListener("error", () => { item.bad = true; show(item); follow(); }, { once: true });
    image.src = `small/${item.entry[0]}`;
  };
  for (let number = 0; number < LOADS; number += 1) follow();
}

function size() {
  const columns = Math.max(2, Math.min(state.side, Math.floor(window.innerWidth / 105)));
  const free = (window.innerHeight - 165) / state.side - 8;
  const grid = find("grid");
  grid.style.setProperty("--columns", columns);
  grid.style.setProperty("--height", `${Math.round(Math.max(free, 110))}px`);
}

function show(item) {
  const place = state.items.indexOf(item);
  const number = state.classes.indexOf(item.label) + 1;
  const classes = [number && `label-${number}`, item.saving && "saving", item.bad && "bad"];
  if (place === state.marked) classes.push("marked");
  item.tile.className = classes.filter(Boolean).join(" ");
  const said = item.bad ? "cannot be shown" : item.saving ? "saving…" : item.label || "";
  item.tile.querySelector(".name").textContent = said;
  const texts = state.captions ? [item.caption || "no caption", item.said] : [];
  item.tile.querySelector(".caption").textContent = texts.filter(Boolean).join(" · ");
  item.tile.setAttribute("aria-label", [`Picture ${place + 1}`, said || "no label", ...texts].join(", "));
  item.tile.tabIndex = place === state.marked ? 0 : -1;
}

function mark(place) {
  if (!state.items.length) return;
  const before = state.items[state.marked];
  state.marked = Math.max(0, Math.min(place, state.items.length - 1));
  if (before) show(before);
  const item = state.items[state.marked];
  show(item);
  item.tile.focus({ preventScroll: false });
  if (state.zoom) find("large").querySelector("img").src = `large/${item.entry[0]}`;
}

const open = (item) => !item.label && !item.bad && !item.saving;

function follow() {
  const places = state.items.map((_, step) => (state.marked + 1 + step) % state.items.length);
  const next = places.find((place) => open(state.items[place]));
  if (next === undefined) hint("The page is done: space for the next.");
  else mark(next);
}

async function save(items, label) {
  const before = items.map((item) => item.label);
  items.forEach((item) => { item.saving = true; });
  items.forEach(show);
  try {
    const counts = await post("label", { said: items.map((item) => ({ entry: item.entry, label })) });
    items.forEach((item) => { item.label = label; });
    if (label) labelled += items.length;
    tell(counts);
  } catch (error) {
    items.forEach((item, place) => { item.label = before[place]; });
    fail(error);
  }
  items.forEach((item) => { item.saving = false; });
  items.filter((item) => state.items.includes(item)).forEach(show);
}

function choose(label) {
  if (!state.items.length) return;
  const marked = state.items[state.marked];
  const items = state.rest && label ? state.items.filter(open) : marked.bad ? [] : [marked];
  arm(false);
  state.pass = false;
  if (!items.length) return;
  save(items, label);
  if (label) follow();
}

function arm(on) {
  state.rest = on;
  find("rest").setAttribute("aria-pressed", String(on));
  const keys = state.classes.map((name, place) => `${place + 1} ${name}`).join(", ");
  hint(on ? `All the rest of the page is: ${keys}? Esc for none.` : "");
}

function hint(text) { find("hint").textContent = text; }

async function next() {
  await last;
  const left = state.items.filter((item) => open(item));
  if (left.length && !state.pass) {
    state.pass = true;
    const many = left.length === 1 ? "1 picture has" : `${left.length} pictures have`;
    hint(`${many} no label. Space again to leave them for the end.`);
    return;
  }
  hint("");
  await load(left.map((item) => item.entry));
}

async function undo() {
  try {
    const found = await post("undo", {});
    const same = (entry) => (item) => item.entry[0] === entry[0] && item.entry[1] === entry[1];
    const here = found.taken.map((entry) => state.items.findIndex(same(entry)));
    if (!found.taken.length) hint("Nothing was said yet.");
    else if (here.includes(-1)) await load([]);
    else {
      here.forEach((place) => { state.items[place].label = ""; show(state.items[place]); });
      mark(here[0]);
      hint("");
    }
    tell(found);
  } catch (error) {
    fail(error);
  }
}

function toggle(name, on) {
  state[name] = on;
  find(name).setAttribute("aria-pressed", String(on));
}

function zoom(on) {
  if (!state.items.length && on) return;
  toggle("zoom", on);
  find("large").hidden = !on;
  if (on) mark(state.marked);
}

function captions() {
  toggle("captions", !state.captions);
  state.items.forEach(show);
}

function help(on) {
  find("rules").hidden = !on;
  find("help").setAttribute("aria-expanded", String(on));
  if (on) find("close").focus();
  else mark(state.marked);
}

async function resize(step) {
  const side = Math.max(2, Math.min(state.side + step, 8));
  if (side === state.side) return;
  state.side = side;
  await load([]);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const columns = Number(find("grid").style.getPropertyValue("--columns"));
  const moves = {
    ArrowLeft: -1, h: -1, ArrowRight: 1, l: 1, ArrowUp: -columns, k: -columns, ArrowDown: columns, j: columns,
  };
  const acts = {
    " ": next, u: undo, a: () => arm(!state.rest), c: captions, z: () => zoom(!state.zoom),
    "?": () => help(find("rules").hidden), "+": () => resize(1), "-": () => resize(-1), 0: () => choose(""),
    Escape: () => { arm(false); zoom(false); if (!find("rules").hidden) help(false); },
  };
  const digit = /^[1-9]$/.test(event.key) ? state.classes[Number(event.key) - 1] : undefined;
  const inBar = event.target instanceof Element && event.target.closest(".bar, #rules");
  // A button of the bar that has the focus is pressed by the space bar, as everywhere.
  if (inBar && (event.key === " " || event.key === "Enter")) return;
  if (!find("rules").hidden && !["Escape", "?"].includes(event.key)) return;
  if (digit) choose(digit);
  else if (event.key in moves) {
    const place = state.marked + moves[event.key];
    if (place >= 0 && place < state.items.length) mark(place);
  } else if (event.key in acts) acts[event.key]();
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", onKey);
window.addEventListener("resize", size);
for (const [id, act] of Object.entries({
  rest: () => arm(!state.rest), undo, captions, next, zoom: () => zoom(!state.zoom),
  fewer: () => resize(-1), more: () => resize(1), help: () => help(find("rules").hidden), close: () => help(false),
})) find(id).addEventListener("click", act);
load([], true);
