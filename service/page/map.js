// Map: the whole index on a plane. Wheel, pinch or + and - zoom; dragging or the arrows move; a point opens its painting.

import { get } from "./api.js";
import { count, h, link, named, picture, problem, waiting, within } from "./dom.js";

const COLOURS = ["#c4442a", "#2f6db5", "#2f8f4e", "#d08a00", "#8552b0", "#0f9a9a", "#c2417f", "#7a6a00", "#5560d6", "#a0522d", "#5b9bd5", "#8fb339"];
const FEW = 2000; // points, that can be larger
const LATER_MS = 2000, REACH = 14, CELLS = 64, MOST_ZOOM = 60;

export function map(parameters, signal, go) {
  const content = h("div", {}, waiting("Fetching the map …"));
  const ask = async () => {
    try {
      const found = await get("map", signal);
      if (found.ids) within(content, ...drawn(found, parameters, signal, go));
      else {
        within(content, waiting(`${found.detail} …`));
        setTimeout(() => signal.aborted || ask(), LATER_MS);
      }
    } catch (error) { if (!signal.aborted) within(content, problem(error)); }
  };
  ask();
  return { title: "Map", content: [h("h1", {}, "The map of the index"), content] };
}

function drawn(found, parameters, signal, go) {
  const by = found.labels[parameters.get("by")] ? parameters.get("by") : Object.keys(found.labels)[0];
  const label = found.labels[by] || { values: [], codes: found.ids.map(() => -1) };
  const only = label.values.indexOf(parameters.get("only"));
  const moved = (changes) => go(link("map", { by, only: parameters.get("only"), ...changes }));
  const names = label.values.slice(0, COLOURS.length);
  if (only >= names.length) names.push(label.values[only]);
  const legend = h("ul", { class: "legend" }, names.map((value) => {
    const code = label.values.indexOf(value), dot = h("i", {});
    dot.style.background = code === only ? chosenColour(code) : colour(code);
    return h("li", {}, h("button", { type: "button", "aria-pressed": String(code === only),
      onclick: () => moved({ only: code === only ? "" : value }) }, dot, value));
  }));
  const canvas = h("canvas", { tabindex: "0", role: "application", "aria-label":
    `${count(found.ids.length, "painting")} as points, coloured by ${by || "nothing"}. Arrows move, plus and minus zoom, Enter opens the painting nearest to the middle. The collection lists the same paintings.` });
  const tip = h("div", { class: "tip", hidden: true });
  const chart = new Chart(canvas, tip, found, label.codes, only, parameters.get("id"), (id) => go(link("painting", { id })));
  const resized = new ResizeObserver(() => chart.resize());
  resized.observe(canvas);
  signal.addEventListener("abort", () => resized.disconnect());
  return [
    h("div", { class: "row" }, Object.keys(found.labels).length > 1 && h("label", {}, h("span", {}, "Colour by"), h("select",
      { onchange: (event) => moved({ by: event.target.value, only: "" }) }, Object.keys(found.labels).map((name) => h("option", { value: name, selected: name === by }, name)))),
    label.values.length > COLOURS.length && h("label", {}, h("span", {}, `Show one ${by}`), h("select", { onchange: (event) => moved({ only: event.target.value }) },
      h("option", { value: "" }, "all"), [...label.values].sort((a, b) => a.localeCompare(b)).map((value) => h("option", { value, selected: value === label.values[only] }, value)))),
    h("button", { type: "button", "aria-label": "zoom in", onclick: () => chart.zoom(1.5) }, "+"), h("button", { type: "button", "aria-label": "zoom out", onclick: () => chart.zoom(1 / 1.5) }, "−"),
    h("button", { type: "button", onclick: () => chart.reset() }, "All")),
    legend, h("div", { class: "map" }, canvas, tip),
    h("p", { class: "quiet" }, `${count(found.ids.length, "painting")}${found.total > found.ids.length ? `, drawn by lot, of ${found.total.toLocaleString("en")}` : ""}. Neighbours on the map are neighbours for the model; how far apart two groups lie means nothing. `,
      h("a", { href: link("collection") }, "The collection"), " lists the same paintings."),
  ];
}

function colour(code) {
  if (code < 0) return "#8d8780";
  return code < COLOURS.length ? COLOURS[code] : "#8d8780";
}

const chosenColour = (code) => COLOURS[code] || COLOURS[0];

// Draws the points and answers to mouse, fingers and keys. scale and corner say which part of the unit square is seen.
class Chart {
  constructor(canvas, tip, found, codes, only, marked, open) {
    Object.assign(this, { canvas, tip, found, codes, only, open, marked: found.ids.indexOf(marked), fingers: new Map(), hovered: -1 });
    this.cells = new Map(); // a coarse grid, to find the point under the mouse
    found.x.forEach((x, i) => {
      const cell = this.cell(x, found.y[i]);
      if (!this.cells.has(cell)) this.cells.set(cell, []);
      this.cells.get(cell).push(i);
    });
    // Grey first, then colours, so that what is looked for lies on top.
    this.order = found.ids.map((_, i) => i).sort((one, other) => this.rank(one) - this.rank(other));
    const on = (name, handler, options) => canvas.addEventListener(name, handler, options);
    on("wheel", (event) => { event.preventDefault(); this.zoom(1.0015 ** -event.deltaY, event.offsetX, event.offsetY); }, { passive: false });
    on("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.fingers.set(event.pointerId, event); this.dragged = 0; });
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.lift(event));
    on("pointercancel", (event) => this.fingers.delete(event.pointerId));
    on("pointerleave", () => this.hover(-1));
    on("keydown", (event) => this.key(event));
    this.reset();
  }

  cell(x, y) { return Math.floor(x * CELLS) * 1000 + Math.floor(y * CELLS); }

  rank(i) { return this.only >= 0 ? Number(this.codes[i] === this.only) : Number(this.codes[i] >= 0 && this.codes[i] < COLOURS.length); }

  reset() { Object.assign(this, { scale: 0.94, middle: [0.5, 0.5] }); this.later(); }

  resize() {
    const ratio = devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    Object.assign(this.canvas, { width: clientWidth * ratio, height: clientHeight * ratio });
    this.draw();
  }

  // On the screen, in CSS pixels.
  at(i) {
    const { clientWidth: width, clientHeight: height } = this.canvas, unit = this.scale * Math.min(width, height);
    return [width / 2 + (this.found.x[i] - this.middle[0]) * unit, height / 2 + (this.found.y[i] - this.middle[1]) * unit];
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const { clientWidth: width, clientHeight: height } = this.canvas, before = this.scale * Math.min(width, height);
    this.scale = Math.min(Math.max(this.scale * factor, 0.5), MOST_ZOOM);
    const after = this.scale * Math.min(width, height);
    this.middle[0] += (x - width / 2) * (1 / before - 1 / after);
    this.middle[1] += (y - height / 2) * (1 / before - 1 / after);
    this.later();
  }

  shift(dx, dy) {
    const unit = this.scale * Math.min(this.canvas.clientWidth, this.canvas.clientHeight);
    this.middle = [this.middle[0] - dx / unit, this.middle[1] - dy / unit];
    this.later();
  }

  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) { this.hover(this.near(event.offsetX, event.offsetY)); return; }
    if (this.fingers.size === 2) {
      const other = [...this.fingers.values()].find((each) => each.pointerId !== event.pointerId);
      const apart = (each) => Math.hypot(each.offsetX - other.offsetX, each.offsetY - other.offsetY);
      this.zoom(apart(event) / Math.max(apart(before), 1), (event.offsetX + other.offsetX) / 2, (event.offsetY + other.offsetY) / 2);
    }
    const [dx, dy] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    this.dragged += Math.abs(dx) + Math.abs(dy);
    if (this.fingers.size === 1) this.shift(dx, dy);
    this.fingers.set(event.pointerId, event);
  }

  lift(event) {
    this.fingers.delete(event.pointerId);
    if (this.dragged > 5) return;
    const found = this.near(event.offsetX, event.offsetY);
    if (found < 0) return;
    if (event.pointerType !== "mouse" && found !== this.hovered) this.hover(found); // a finger looks first, then opens
    else this.open(this.found.ids[found]);
  }

  key(event) {
    const step = 60, moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (moves[event.key]) this.shift(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (event.key === "Enter") {
      const found = this.near(width / 2, height / 2, Math.hypot(width, height));
      if (found >= 0) this.open(this.found.ids[found]);
    } else return;
    event.preventDefault();
    if (event.key !== "Enter") this.hover(this.near(width / 2, height / 2, 80));
  }

  near(x, y, reach = REACH) {
    const unit = this.scale * Math.min(this.canvas.clientWidth, this.canvas.clientHeight);
    const mapX = this.middle[0] + (x - this.canvas.clientWidth / 2) / unit, mapY = this.middle[1] + (y - this.canvas.clientHeight / 2) / unit;
    const wide = Math.ceil((reach / unit) * CELLS);
    let best = -1, least = reach;
    for (let i = -wide; i <= wide; i += 1) {
      for (let j = -wide; j <= wide; j += 1) {
        for (const point of this.cells.get(this.cell(mapX + i / CELLS, mapY + j / CELLS)) || []) {
          const [px, py] = this.at(point), apart = Math.hypot(px - x, py - y);
          if (apart < least) [best, least] = [point, apart];
        }
      }
    }
    return best;
  }

  hover(point) {
    if (point === this.hovered) return;
    this.hovered = point;
    this.tip.hidden = point < 0;
    this.later();
    if (point < 0) return;
    const [x, y] = this.at(point), id = this.found.ids[point];
    this.tip.style.left = `${Math.min(Math.max(x + 14, 4), this.canvas.clientWidth - 190)}px`;
    this.tip.style.top = `${y > this.canvas.clientHeight / 2 ? Math.max(4, y - 220) : y + 14}px`;
    this.tip.textContent = id;
    clearTimeout(this.asking); // a mouse that only passes asks for nothing
    this.asking = setTimeout(() => get(`paintings/${encodeURIComponent(id)}`).then((facts) => {
      if (this.hovered === point) within(this.tip, facts.has_image ? picture(facts.painting) : "", named(facts.painting));
    }, () => {}), 80);
  }

  later() {
    this.frame ??= requestAnimationFrame(() => { this.frame = undefined; this.draw(); });
  }

  draw() {
    const { canvas } = this, ratio = devicePixelRatio || 1, context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    const size = Math.min((this.order.length < FEW ? 5 : 2.2) + Math.log2(this.scale + 1) * 1.4, 9);
    let last;
    for (const i of this.order) {
      const [x, y] = this.at(i);
      if (x < -size || y < -size || x > canvas.clientWidth + size || y > canvas.clientHeight + size) continue;
      const isOut = this.only >= 0 && this.codes[i] !== this.only;
      const style = isOut ? "#8d878055" : this.only >= 0 ? chosenColour(this.only) : colour(this.codes[i]);
      if (style !== last) context.fillStyle = last = style;
      context.fillRect(x - size / 2, y - size / 2, size, size);
    }
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = 2.5;
    for (const i of [this.marked, this.hovered]) {
      if (i < 0) continue;
      context.beginPath();
      context.arc(...this.at(i), size + 4, 0, 2 * Math.PI);
      context.stroke();
    }
    canvas.dataset.drawn = String(this.order.length);
  }
}
