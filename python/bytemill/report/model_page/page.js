// The page: reads the model out of its own elements, continues the text that is typed, and shows each token with its
// alternatives. Text from models and users is only ever set as text, never as HTML.
// The console of the browser can use the model too: bytemill.tokenizer.encode("a"), bytemill.network.append(64).
"use strict";

const byId = (id) => document.getElementById(id);
const N_ALTERNATIVES = 10;
const PAUSE_MS = 50; // the page answers clicks this often
const BOUNDS = [0.05, 0.2, 0.5, 0.9];
// Control characters and changes of direction, which could hide or reorder text.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const written = []; // the ids of the text so far
let running = null; // the AbortController of the text in progress
let decoder = null; // a character may need several tokens

// Reads the model.
function load() {
  const { config, vocabulary, layout } = JSON.parse(byId("model").textContent);
  const numbers = new Float32Array(bytesIn("numbers").buffer); // little-endian, as all computers with browsers are
  const rows = new Int8Array(bytesIn("rows").buffer);
  globalThis.bytemill = {
    config,
    tokenizer: new Tokenizer(vocabulary),
    network: new Network(config, tensorsIn(layout, numbers, rows)),
  };
}

// The bytes that an element has in base64. The element is emptied, because they are needed only once.
function bytesIn(id) {
  const text = byId(id).textContent;
  byId(id).textContent = "";
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  const piece = 1 << 20; // a multiple of 4
  for (let start = 0; start < text.length; start += piece) {
    const decoded = atob(text.slice(start, start + piece));
    for (let i = 0; i < decoded.length; i++) bytes[(start / 4) * 3 + i] = decoded.charCodeAt(i);
  }
  return bytes;
}

// Yields one new token after another until an end: {id, chance, best}, chances without temperature and top-k.
async function* continued(ids, { temperature, topK, maxTokens, signal }) {
  const { network, config } = bytemill;
  for (let n = 0; n < maxTokens; n++) {
    await read(network.window(ids), signal);
    const logits = network.logits();
    const id = draw(logits, temperature, topK);
    if (config.stopIds.includes(id)) return;
    const total = logSumExp(logits);
    const best = largest(logits, N_ALTERNATIVES).map((one) => ({ id: one, chance: Math.exp(logits[one] - total) }));
    ids.push(id);
    yield { id, chance: Math.exp(logits[id] - total), best };
  }
}

// Reads the ids that are not in the cache, with pauses in which the page can stop it.
async function read(ids, signal) {
  for (const id of bytemill.network.unread(ids)) {
    if (performance.now() - read.pausedAt > PAUSE_MS) {
      await new Promise((resolve) => setTimeout(resolve));
      read.pausedAt = performance.now();
    }
    signal.throwIfAborted();
    bytemill.network.append(id);
  }
}
read.pausedAt = 0;

// Temperature 0 takes the most likely id; top-k 0 allows all ids.
function draw(logits, temperature, topK) {
  const [best] = largest(logits, 1);
  if (temperature < 1e-6) return best;
  const lowest = topK > 0 && topK < logits.length ? logits.slice().sort().at(-topK) : -Infinity;
  const weights = logits.map((one) => (one < lowest ? 0 : Math.exp((one - logits[best]) / temperature)));
  let rest = Math.random() * weights.reduce((sum, one) => sum + one, 0);
  const drawn = weights.findIndex((one) => (rest -= one) < 0);
  return drawn < 0 ? best : drawn; // after rounding, a little may be left
}

// The ids of the n largest logits, the largest first.
function largest(logits, n) {
  const found = [];
  for (let id = 0; id < logits.length; id++) {
    if (found.length === n && !(logits[id] > logits[found[n - 1]])) continue;
    let place = found.length;
    while (place > 0 && logits[id] > logits[found[place - 1]]) place--;
    found.splice(place, 0, id);
    found.length = Math.min(found.length, n);
  }
  return found;
}

function logSumExp(logits) {
  const most = logits[largest(logits, 1)[0]];
  return most + Math.log(logits.reduce((sum, one) => sum + Math.exp(one - most), 0));
}

function printable(text) {
  return text.replace(CONTROLS, (one) => "\\u" + one.charCodeAt(0).toString(16).padStart(4, "0"));
}

// A token on its own, where a part of a character is shown by its bytes.
function nameOf(id) {
  const bytes = bytemill.tokenizer.bytes(id);
  try {
    return printable(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return Array.from(bytes, (byte) => "\\x" + byte.toString(16).padStart(2, "0")).join("");
  }
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function tokenOf({ id, chance, best }) {
  const level = BOUNDS.filter((bound) => chance >= bound).length;
  const element = make("span", `token chance-${level}`, printable(decoder.decode(bytemill.tokenizer.bytes(id), { stream: true })));
  element.tabIndex = 0;
  element.title = `${(100 * chance).toFixed(1)} %`;
  element.addEventListener("click", () => showAlternatives(id, chance, best));
  element.addEventListener("keydown", (event) => { if (event.key === "Enter") showAlternatives(id, chance, best); });
  return element;
}

function showAlternatives(id, chance, best) {
  const rows = best.some((one) => one.id === id) ? best : [...best, { id, chance }];
  const panel = byId("alternatives");
  panel.querySelector("h2").textContent = `Instead of “${nameOf(id)}”`;
  panel.querySelector("tbody").replaceChildren(...rows.map((one) => {
    const row = make("tr", one.id === id ? "taken" : "");
    const bar = document.createElement("td");
    bar.append(make("div", ""));
    bar.firstChild.style.width = `${100 * one.chance}%`;
    row.append(make("td", "", `“${nameOf(one.id)}”`), make("td", "", `${(100 * one.chance).toFixed(2)} %`), bar);
    return row;
  }));
  panel.hidden = false;
  panel.scrollIntoView({ block: "nearest" });
}

function begin() {
  const text = byId("prompt").value;
  const ids = bytemill.tokenizer.encode(text);
  if (ids.length === 0 && bytemill.config.startId !== null) ids.push(bytemill.config.startId);
  if (ids.length === 0) {
    byId("message").textContent = "Type the beginning of a text first.";
    return;
  }
  written.splice(0, written.length, ...ids);
  decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  byId("text").replaceChildren(printable(text));
  byId("alternatives").hidden = true;
  byId("result").hidden = false;
  write();
}

async function write() {
  if (running) return;
  running = new AbortController();
  setRunning(true);
  const started = performance.now();
  let [n, end] = [0, "the model ended the text"];
  const limits = {
    temperature: byId("temperature").valueAsNumber,
    topK: byId("top-k").valueAsNumber,
    maxTokens: byId("max-tokens").valueAsNumber,
    signal: running.signal,
  };
  try {
    for await (const token of continued(written, limits)) {
      byId("text").append(tokenOf(token));
      n++;
    }
    if (n === limits.maxTokens) end = "the maximum number of tokens is reached";
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    end = "stopped";
  } finally {
    running = null;
    setRunning(false);
  }
  const perSecond = (1000 * n) / (performance.now() - started);
  byId("message").textContent = `${end}; ${n} tokens, ${perSecond.toFixed(1)} per second`;
}

function setRunning(is) {
  byId("continue").disabled = byId("more").disabled = is;
  byId("stop").disabled = !is;
  if (is) byId("message").textContent = "writing…";
}

function start() {
  load();
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); if (!running) begin(); });
  byId("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.ctrlKey) byId("ask").requestSubmit();
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
  byId("stop").addEventListener("click", () => running?.abort());
  byId("more").addEventListener("click", () => { if (byId("ask").reportValidity()) write(); });
  byId("close").addEventListener("click", () => { byId("alternatives").hidden = true; });
  byId("continue").disabled = false;
  byId("message").textContent = "";
}

setTimeout(start); // after the page is shown
