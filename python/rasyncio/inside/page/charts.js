// Charts of lines over time, as SVG: each follows its history, and tells what is under the pointer.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 560, HEIGHT = 150, LEFT = 52, RIGHT = 8, TOP = 8, BOTTOM = 20;

function drawn(kind, attributes, parent, text) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

// A round number that is no less.
function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((each) => each >= value * 0.9999);
}

class Chart {
  // of: {title, value(rates), text(number), max?, isLog?, limit?}
  constructor(of, parent) {
    this.of = of;
    this.pointer = null;
    const card = document.createElement("section");
    card.className = "card chart";
    const title = document.createElement("h2");
    title.textContent = of.title;
    this.reading = document.createElement("span");
    title.append(this.reading);
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("role", "img");
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    card.append(title, this.svg);
    parent.append(card);
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  // history: [[time, [rates, ...]], ...]; ids: which loops, in which order; marks: times of slow steps.
  update(history, ids, marks) {
    Object.assign(this, { history, ids, marks });
    this.draw();
  }

  point(event) {
    const box = this.svg.getBoundingClientRect();
    this.pointer = event.clientX - box.left;
    this.draw();
  }

  draw() {
    if (!this.history) return;
    const width = Math.max(this.svg.clientWidth, 200);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren();
    const { of, history, ids } = this;
    const series = ids.map((id) => history.flatMap(([time, rates]) => {
      const found = rates.find((each) => each.id === id);
      return found ? [[time, of.value(found)]] : [];
    }));
    const end = history.length ? history[history.length - 1][0] : Date.now() / 1000;
    const span = Math.max(60, history.length ? end - history[0][0] : 0);
    const most = Math.max(0, ...series.flat().map(([, value]) => value));
    const top = of.max ?? roundUp(Math.max(most, of.least ?? 0));
    const x = (time) => LEFT + (1 - (end - time) / span) * (width - LEFT - RIGHT);
    const y = this.scale(top);
    this.grid(width, top, y, x, end, span);
    for (const mark of this.marks.filter((time) => time > end - span)) {
      const at = x(Math.min(mark, end));
      drawn("path", { class: "mark", d: `M${at - 4} ${HEIGHT - BOTTOM + 7}h8l-4 -6z` }, this.svg);
    }
    series.forEach((points, number) => this.line(points, number, x, y));
    this.read(series, x, y, width, end, span);
  }

  scale(top) {
    const low = HEIGHT - BOTTOM, high = TOP;
    if (!this.of.isLog) return (value) => low - (Math.min(value, top) / top) * (low - high);
    const from = Math.log10(this.of.from), to = Math.log10(top);
    return (value) => low - Math.max(0, (Math.log10(Math.max(value, this.of.from)) - from) / (to - from)) * (low - high);
  }

  grid(width, top, y, x, end, span) {
    const ticks = [];
    if (this.of.isLog) for (let tick = this.of.from; tick <= top * 1.001; tick *= 10) ticks.push(tick);
    else for (const part of [0, 0.5, 1]) ticks.push(top * part);
    for (const tick of ticks) {
      const at = y(tick);
      drawn("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }, this.svg);
      drawn("text", { x: LEFT - 8, y: at + 4, "text-anchor": "end" }, this.svg, this.of.text(tick));
    }
    if (this.of.limit && this.of.limit < top) {
      const at = y(this.of.limit);
      drawn("line", { class: "limit", x1: LEFT, x2: width - RIGHT, y1: at, y2: at }, this.svg);
    }
    const low = HEIGHT - BOTTOM;
    drawn("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: low, y2: low }, this.svg);
    for (const part of [0, 0.5, 1]) {
      const label = part === 1 ? "now" : `−${Math.round(span * (1 - part))} s`;
      const anchor = part === 0 ? "start" : part === 1 ? "end" : "middle";
      const at = x(end - span * (1 - part));
      drawn("text", { x: at, y: HEIGHT - 4, "text-anchor": anchor }, this.svg, label);
    }
  }

  line(points, number, x, y) {
    if (!points.length) return;
    const group = drawn("g", { class: `series-${number % 4}` }, this.svg);
    const path = points.map(([time, value]) => `${x(time).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    const low = HEIGHT - BOTTOM;
    if (this.ids.length === 1 && points.length > 1 && !this.of.isLog) {
      const area = `M${x(points[0][0])} ${low}L${path}L${x(points[points.length - 1][0])} ${low}Z`;
      drawn("path", { class: "area", d: area }, group);
    }
    drawn("path", { class: "line", d: `M${path}` }, group);
  }

  // What is under the pointer, or now.
  read(series, x, y, width, end, span) {
    const wanted = this.pointer === null
      ? end : end - span * (1 - (this.pointer - LEFT) / (width - LEFT - RIGHT));
    const found = series.map((points) => points.reduce(
      (best, each) => (!best || Math.abs(each[0] - wanted) < Math.abs(best[0] - wanted) ? each : best), null));
    const first = found.find((each) => each);
    if (this.pointer !== null && first) {
      const at = x(first[0]);
      drawn("line", { class: "cross", x1: at, x2: at, y1: TOP, y2: HEIGHT - BOTTOM }, this.svg);
      found.forEach((each, number) => each && drawn(
        "circle", { class: `dot series-${number % 4}`, cx: x(each[0]), cy: y(each[1]), r: 4 }, this.svg));
    }
    const when = this.pointer === null || !first ? "" : `${Math.round(end - first[0])} s ago: `;
    this.reading.textContent = when + found.map((each) => (each ? this.of.text(each[1]) : "-")).join(" / ");
    this.svg.setAttribute("aria-label", `${this.of.title}: ${this.reading.textContent}`);
  }
}
