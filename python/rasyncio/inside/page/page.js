// Asks for what is followed, and shows it. What the program says is text, never markup.
"use strict";

let chosen = null;
let answer = null;
const open = new Set();

const at = (id) => document.getElementById(id);

function made(kind, className, ...children) {
  const element = document.createElement(kind);
  if (className) element.className = className;
  element.append(...children.filter((each) => each !== null && each !== ""));
  return element;
}

function duration(seconds) {
  for (const [factor, unit] of [[1, "s"], [1e3, "ms"], [1e6, "µs"]]) {
    const value = seconds * factor;
    if (value >= 1 || unit === "µs") return `${value >= 100 || value === 0 ? value.toFixed(0) : Number(value.toPrecision(3))} ${unit}`;
  }
  return "";
}

function amount(number) {
  for (const letter of ["", "k", "M", "G", "T"]) {
    if (number < 1000) return `${letter && number < 100 ? number.toFixed(1) : number.toFixed(0)}${letter}`;
    number /= 1000;
  }
  return `${number.toFixed(0)}P`;
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString("en-GB");
const level = (seconds) => (seconds >= 0.05 ? "bad" : seconds >= 0.01 ? "noted" : "good");

// "/long/way/to/file.py:12 in function", by the file's name; the whole of it when pointed at.
function place(text) {
  const element = made("span", "place", text.replace(/^.*\//, ""));
  element.title = text;
  return element;
}

// The frames that the loop runs; what runs the loop is always the same.
function inTheLoop(stack) {
  const runs = stack.map((each) => each.includes(", in run_forever")).lastIndexOf(true);
  return stack.slice(runs + 1 < stack.length ? runs + 1 : 0);
}

const charts = [
  { title: "Load", value: (each) => each.load, text: (value) => `${Math.round(value * 100)} %`, max: 1 },
  { title: "Longest lag (dashed: 50 ms)", value: (each) => Math.max(each.lag_most, each.blocked), text: duration,
    isLog: true, from: 1e-5, least: 1, limit: 0.05 },
  { title: "Tasks", value: (each) => each.tasks, text: amount, least: 10 },
  { title: "Callbacks in a second", value: (each) => each.callbacks, text: amount, least: 10 },
].map((of) => new Chart(of, at("charts")));

function showLoops(rates) {
  const cards = rates.map((each, number) => {
    const tile = (name, text, className) => {
      const value = made("dd", className ?? "", text);
      return made("div", "tile", made("dt", "", name), value);
    };
    const title = made("h2", "", made("span", `swatch series-${number % 4}`), each.name);
    const tiles = made("dl", "tiles",
      tile("load", `${Math.round(each.load * 100)} %`, each.load > 0.9 ? "bad" : ""),
      tile("longest", duration(each.lag_most), level(each.lag_most)),
      tile("lag p99", duration(each.lag), level(each.lag)),
      tile("blocked now", each.blocked >= 0.01 ? duration(each.blocked) : "no", each.blocked >= 0.01 ? level(each.blocked) : ""),
      tile("tasks", amount(each.tasks)),
      tile("ready queue", amount(each.ready)),
      tile("timers", amount(each.timers)),
      tile("files", amount(each.files)),
      tile("connections", amount(each.connections)),
      tile("received", `${amount(each.received)} B/s`),
      tile("sent", `${amount(each.sent)} B/s`));
    return made("div", "card loop", title, tiles);
  });
  if (!cards.length) cards.push(made("p", "card noted", "No event loop of rasyncio's is there: start the program with RASYNCIO=1."));
  at("loops").replaceChildren(...cards);
}

function showSteps(snapshot) {
  const steps = snapshot.slow_steps.slice().reverse();
  if (!steps.length) {
    const text = snapshot.watched === null
      ? "Not watched: --watch 0.1 (with a process id), RASYNCIO_WATCH=0.1, or rasyncio.watch()."
      : `None was longer than ${duration(snapshot.watched)}.`;
    at("steps").replaceChildren(made("p", "muted", text));
    return;
  }
  at("steps").replaceChildren(...steps.slice(0, 10).map((step) => {
    const key = `${step.time} ${step.thread} ${step.place}`;
    const who = made("span", "", step.task ?? (step.place === null ? "nobody could see whose" : "a callback"));
    who.style.fontWeight = "600";
    const element = made("details", "step", made("summary", "",
      made("span", "when", clock(step.time)),
      made("span", "long", duration(step.seconds)),
      made("span", "", who, step.coroutine ? ` ${step.coroutine}` : "",
        step.is_over ? "" : made("span", "now", "blocks now"),
        step.repeats ? made("span", "more", `and ${amount(step.repeats)} more since`) : "",
        made("br", ""), place(step.place ?? "it was over before anybody could look"),
        step.called_at === null || step.called_at === step.place ? ""
          : made("span", "muted", ` called at ${step.called_at.replace(/^.*\//, "")}`))),
      made("pre", "", inTheLoop(step.stack).join("\n")));
    element.open = open.has(key);
    element.addEventListener("toggle", () => (element.open ? open.add(key) : open.delete(key)));
    return element;
  }));
}

function showTasks(snapshot) {
  const wanted = at("filter").value.toLowerCase();
  const focused = document.activeElement?.dataset?.task;
  const tasks = snapshot.tasks.listed.filter((each) => `${each.name} ${each.coroutine}`.toLowerCase().includes(wanted));
  at("tasks").replaceChildren(...tasks.map((each) => {
    const button = made("button", "task",
      made("span", "name", each.name, made("span", "", each.coroutine)), made("span", `state ${each.state}`, each.state));
    button.type = "button";
    button.dataset.task = each.id;
    button.setAttribute("aria-pressed", String(each.id === answer.chosen));
    return button;
  }));
  if (focused) at("tasks").querySelector(`[data-task="${focused}"]`)?.focus({ preventScroll: true });
}

function node(of) {
  const says = of.state === "waiting" ? (of.awaits.length ? "" : ` waits for a ${of.waits_for}`) : ` ${of.state}`;
  const isChosen = of.id === answer.chosen;
  const places = isChosen ? of.stack : of.place ? [of.place] : [];
  return made("li", isChosen ? "chosen" : "",
    made("div", "", made("span", "name", of.name), ` ${of.coroutine}`, made("span", "muted", says)),
    ...places.map((each) => made("div", "", place(each))),
    of.awaits.length ? made("ul", "", ...of.awaits.map(node)) : "");
}

function showCoroutines(snapshot) {
  at("coroutines").replaceChildren(...snapshot.coroutines.slice(0, 20).map((each) => made("tr", "",
    made("td", "number", amount(each.tasks)), made("td", "", each.coroutine), made("td", "", place(each.place)))));
}

function showFunctions(snapshot) {
  at("profile").hidden = snapshot.functions === null;
  at("functions").replaceChildren(...(snapshot.functions ?? []).slice(0, 20).map((each) => made("tr", "",
    made("td", "number", duration(each.seconds_busy)),
    made("td", `number ${level(each.seconds_longest)}`, duration(each.seconds_longest)),
    made("td", "number", amount(each.steps)), made("td", "", each.name), made("td", "", place(each.place)))));
}

function show() {
  const { snapshot, rates, history } = answer;
  document.title = `${snapshot.program} - rasyncio top`;
  at("program").textContent = at("program").title = snapshot.program;
  at("facts").textContent =
    `process ${snapshot.pid} · Python ${snapshot.python} · rasyncio ${snapshot.rasyncio} · ${clock(snapshot.time)}`;
  const trouble = answer.ended ?? answer.silence;
  at("ended").hidden = trouble === null;
  at("ended").textContent = trouble ?? "";
  showLoops(rates);
  const marks = snapshot.slow_steps.map((step) => step.time);
  for (const chart of charts) chart.update(history, rates.map((each) => each.id), marks);
  showSteps(snapshot);
  showTasks(snapshot);
  at("tree").replaceChildren(answer.tree ? made("ul", "", node(answer.tree)) : made("p", "muted", "No task."));
  showFunctions(snapshot);
  showCoroutines(snapshot);
}

async function look() {
  try {
    const got = await fetch(chosen === null ? "/data" : `/data?task=${chosen}`);
    answer = await got.json();
    show();
  } catch (error) {
    at("ended").hidden = false;
    at("ended").textContent = `The viewer has ended (${error.message}).`;
  }
}

at("tasks").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) { chosen = button.dataset.task; look(); }
});
at("filter").addEventListener("input", () => answer && showTasks(answer.snapshot));

async function follow() {
  await look();
  setTimeout(follow, answer ? Math.max(answer.every * 1000, 100) : 1000);
}
follow();
