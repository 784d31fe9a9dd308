// The chat page: asks one or two models over this server's own interface and shows each token with its alternatives.
// Text from models and users is only ever set as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const N_ALTERNATIVES = 10;
// Control characters and changes of direction, which could hide or reorder text.
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g;
const BOUNDS = [0.05, 0.2, 0.5, 0.9];

const turns = []; // {question, answers: {model: text}}
let running = null; // the AbortController of the answers in progress

function printable(text) {
  return text.replace(CONTROLS, (one) => "\\u" + one.charCodeAt(0).toString(16).padStart(4, "0"));
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

async function ask(path, options = {}) {
  const headers = { "Content-Type": "application/json" };
  if (byId("key").value) headers.Authorization = `Bearer ${byId("key").value}`;
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  if (response.status === 401) byId("key-field").hidden = false;
  const { error } = await response.json();
  throw Object.assign(new Error(error.message), { code: error.code });
}

async function listModels() {
  const { data } = await (await ask("v1/models")).json();
  const chosen = [byId("model-0"), byId("model-1")].map((select) => select.value);
  byId("model-0").replaceChildren(...data.map(({ id }) => new Option(id, id)));
  byId("model-1").replaceChildren(new Option("nothing", ""), ...data.map(({ id }) => new Option(id, id)));
  [byId("model-0"), byId("model-1")].forEach((select, n) => { if (chosen[n]) select.value = chosen[n]; });
}

function models() {
  return [...new Set([byId("model-0").value, byId("model-1").value].filter(Boolean))];
}

// The conversation as this model had it; a turn without an answer of this model is left out.
function messages(model, question) {
  const earlier = turns.filter(({ answers }) => (answers[model] ?? "").trim());
  const pairs = earlier.flatMap((turn) => [
    { role: "user", content: turn.question },
    { role: "assistant", content: turn.answers[model] },
  ]);
  return [...pairs, { role: "user", content: question }];
}

function body(model, given) {
  const seed = byId("seed").value;
  return {
    model,
    messages: given,
    stream: true,
    logprobs: true,
    top_logprobs: N_ALTERNATIVES,
    temperature: Number(byId("temperature").value),
    max_tokens: Number(byId("max-tokens").value),
    ...(seed === "" ? {} : { seed: Number(seed) }),
  };
}

// Opens the stream; if the conversation is too long for the model, its oldest turns are left out.
async function open(model, question, signal) {
  let given = messages(model, question);
  for (;;) {
    try {
      return await ask("v1/chat/completions", { method: "POST", body: JSON.stringify(body(model, given)), signal });
    } catch (error) {
      if (error.code !== "context_length_exceeded" || given.length < 3) throw error;
      given = given.slice(2);
    }
  }
}

async function* eventsOf(response) {
  let text = "";
  for await (const piece of chunksOf(response.body.pipeThrough(new TextDecoderStream()).getReader())) {
    const lines = (text + piece).split("\n\n");
    text = lines.pop();
    for (const line of lines) {
      if (line === "data: [DONE]") return;
      const event = JSON.parse(line.slice("data: ".length));
      if (event.error) throw new Error(event.error.message);
      yield event;
    }
  }
}

async function* chunksOf(reader) {
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    yield value;
  }
}

async function answer(model, turn, place, signal) {
  const note = place.querySelector(".note");
  const text = place.querySelector("p");
  const decoder = new TextDecoder(); // a character may need several tokens
  turn.answers[model] = "";
  try {
    for await (const event of eventsOf(await open(model, turn.question, signal))) {
      const [choice] = event.choices;
      turn.answers[model] += choice.delta.content ?? "";
      for (const token of choice.logprobs?.content ?? []) text.append(tokenOf(token, decoder));
      if (choice.finish_reason === "length") note.textContent = "ended at the maximum number of tokens";
    }
  } catch (error) {
    note.textContent = error.name === "AbortError" ? "stopped" : error.message;
  }
  text.append(printable(decoder.decode())); // the end of an answer may be an incomplete character
  shorten(text, printable(turn.answers[model]).length);
}

function tokenOf(token, decoder) {
  const chance = Math.exp(token.logprob);
  const level = BOUNDS.filter((bound) => chance >= bound).length;
  const element = make("span", `token chance-${level}`);
  element.textContent = printable(decoder.decode(new Uint8Array(token.bytes), { stream: true }));
  element.tabIndex = 0;
  element.title = `${(100 * chance).toFixed(1)} %`;
  element.addEventListener("click", () => showAlternatives(token, chance));
  element.addEventListener("keydown", (event) => { if (event.key === "Enter") showAlternatives(token, chance); });
  return element;
}

// Cuts what the last tokens have beyond the answer, such as the beginning of a stop text.
function shorten(text, length) {
  let over = text.textContent.length - length;
  while (over > 0 && text.lastChild) {
    const last = text.lastChild;
    const kept = last.textContent.slice(0, Math.max(0, last.textContent.length - over));
    over -= last.textContent.length - kept.length;
    if (kept) last.textContent = kept;
    else last.remove();
  }
}

function showAlternatives(token, chance) {
  const rows = token.top_logprobs.map((one) => ({ name: one.token, chance: Math.exp(one.logprob) }));
  if (!rows.some(({ name }) => name === token.token)) rows.push({ name: token.token, chance });
  const panel = byId("alternatives");
  panel.querySelector("h2").textContent = `Instead of “${printable(token.token)}”`;
  panel.querySelector("tbody").replaceChildren(...rows.map(({ name, chance: own }) => {
    const row = make("tr", name === token.token ? "taken" : "");
    const bar = document.createElement("td");
    bar.append(make("div", ""));
    bar.firstChild.style.width = `${100 * own}%`;
    row.append(make("td", "", `“${printable(name)}”`), make("td", "", `${(100 * own).toFixed(2)} %`), bar);
    return row;
  }));
  panel.hidden = false;
  panel.scrollIntoView({ block: "nearest" });
}

async function run(question) {
  const turn = { question, answers: {} };
  const places = models().map((model) => {
    const place = make("article", "answer");
    place.append(make("h2", "", printable(model)), make("p", ""), make("div", "note"));
    return [model, place];
  });
  const box = make("div", "turn");
  const columns = make("div", "answers");
  columns.append(...places.map(([, place]) => place));
  box.append(make("div", "question", printable(question)), columns);
  byId("talk").append(box);
  byId("ask").scrollIntoView({ block: "end" });
  running = new AbortController();
  setRunning(true);
  await Promise.all(places.map(([model, place]) => answer(model, turn, place, running.signal)));
  turns.push(turn);
  running = null;
  setRunning(false);
}

function setRunning(is) {
  byId("send").disabled = is;
  byId("stop").disabled = !is;
  byId("retry").disabled = byId("forget").disabled = is || turns.length === 0;
  byId("message").textContent = is ? "answering…" : "";
}

function send() {
  const question = byId("question").value;
  if (running || !question.trim()) return;
  byId("question").value = "";
  run(question);
}

function retry() {
  const { question } = turns.pop();
  byId("talk").lastChild.remove();
  run(question);
}

function forget() {
  turns.length = 0;
  byId("talk").replaceChildren();
  byId("alternatives").hidden = true;
  setRunning(false);
}

function setColours() {
  const are = byId("colours").checked;
  byId("talk").classList.toggle("plain", !are);
  byId("legend").hidden = !are;
}

function start() {
  byId("ask").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  byId("settings").addEventListener("submit", (event) => event.preventDefault());
  byId("question").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
  byId("stop").addEventListener("click", () => running?.abort());
  byId("retry").addEventListener("click", retry);
  byId("forget").addEventListener("click", forget);
  byId("close").addEventListener("click", () => { byId("alternatives").hidden = true; });
  byId("colours").addEventListener("change", setColours);
  byId("key").addEventListener("change", refresh);
  setColours();
  refresh();
}

function refresh() {
  listModels().then(() => { byId("message").textContent = ""; }, (error) => { byId("message").textContent = error.message; });
}

start();
