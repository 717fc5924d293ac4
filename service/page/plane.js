// The plane of the map under mouse, fingers and keys: what part of it is seen, which painting is meant, which are
// lassoed.

import { svg } from "./dom.js";
import { Drawing } from "./drawing.js";

const REACH = 14;
const CELLS = 64;
const MOST_ZOOM = 60;
const REST_MS = 160; // from when on a movement is over
const SLOW_MS = 20; // between two frames of a movement that is not smooth
const LONGEST_MS = 100; // as which a later frame counts
const COARSEST = 0.25; // pixels that are drawn for one of the screen
// Sizes in px: of points, of pictures, and where one becomes the other.
const SMALLEST = 2.2;
const LARGEST_POINT = 9;
const LARGEST = 112;
const FADE = [10, 20];

export class Plane {
  // on: { open(i), hover(i), chosen(places) }. Throws where nothing can be drawn.
  constructor(canvas, found, marked, on) {
    Object.assign(this, {
      canvas,
      found,
      marked,
      on,
      fingers: new Map(),
      hovered: -1,
      isSelecting: false,
      coarse: 1,
      pace: 0,
    });
    this.drawing = new Drawing(canvas, found);
    this.cells = new Map(); // a coarse grid, to find the painting under the mouse
    found.x.forEach((x, i) => {
      const cell = this.cell(x, found.y[i]);
      if (!this.cells.has(cell)) this.cells.set(cell, []);
      this.cells.get(cell).push(i);
    });
    const listen = (name, handler, options) => canvas.addEventListener(name, handler, options);
    listen(
      "wheel",
      (event) => {
        event.preventDefault();
        this.zoom(1.0015 ** -event.deltaY, event.offsetX, event.offsetY);
      },
      { passive: false },
    );
    listen("pointerdown", (event) => this.press(event));
    listen("pointermove", (event) => this.move(event));
    listen("pointerup", (event) => this.lift(event));
    listen("pointercancel", (event) => {
      this.fingers.delete(event.pointerId);
      this.endLasso();
    });
    listen("pointerleave", () => this.hover(-1));
    listen("keydown", (event) => this.key(event));
    this.reset();
  }

  cell(x, y) {
    return Math.floor(x * CELLS) * 1000 + Math.floor(y * CELLS);
  }

  reset() {
    Object.assign(this, { scale: 0.94, middle: [0.5, 0.5] });
    this.later();
  }

  // How long the side of the map is, in CSS pixels; and a picture, of as many as there are.
  get unit() {
    return this.scale * Math.min(this.canvas.clientWidth, this.canvas.clientHeight);
  }

  get size() {
    return Math.min(Math.max((0.9 * this.unit) / Math.sqrt(this.found.ids.length), SMALLEST), LARGEST);
  }

  // On the screen, in CSS pixels.
  at(i) {
    const { clientWidth: width, clientHeight: height } = this.canvas,
      { unit } = this;
    return [
      width / 2 + (this.found.x[i] - this.middle[0]) * unit,
      height / 2 + (this.found.y[i] - this.middle[1]) * unit,
    ];
  }

  zoom(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const { clientWidth: width, clientHeight: height } = this.canvas,
      before = this.unit;
    this.scale = Math.min(Math.max(this.scale * factor, 0.5), MOST_ZOOM);
    this.middle[0] += (x - width / 2) * (1 / before - 1 / this.unit);
    this.middle[1] += (y - height / 2) * (1 / before - 1 / this.unit);
    this.moved();
  }

  shift(dx, dy) {
    this.middle = [this.middle[0] - dx / this.unit, this.middle[1] - dy / this.unit];
    this.moved();
  }

  press(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, event);
    this.dragged = 0;
    if ((this.isSelecting || event.shiftKey) && this.fingers.size === 1) {
      this.lasso = [[event.offsetX, event.offsetY]];
      this.line = svg("polygon");
      this.canvas.parentElement.append(
        (this.overlay = svg("svg", { class: "lasso", "aria-hidden": "true" }, this.line)),
      );
    } else this.endLasso();
  }

  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) {
      this.hover(this.near(event.offsetX, event.offsetY));
      return;
    }
    const [dx, dy] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    this.dragged += Math.abs(dx) + Math.abs(dy);
    if (this.lasso) {
      this.lasso.push([event.offsetX, event.offsetY]);
      this.line.setAttribute("points", this.lasso.join(" "));
    } else if (this.fingers.size === 2) {
      const other = [...this.fingers.values()].find((each) => each.pointerId !== event.pointerId);
      const apart = (each) => Math.hypot(each.offsetX - other.offsetX, each.offsetY - other.offsetY);
      this.zoom(
        apart(event) / Math.max(apart(before), 1),
        (event.offsetX + other.offsetX) / 2,
        (event.offsetY + other.offsetY) / 2,
      );
    } else this.shift(dx, dy);
    this.fingers.set(event.pointerId, event);
  }

  lift(event) {
    this.fingers.delete(event.pointerId);
    if (this.lasso && this.dragged > 5) this.on.chosen(this.within(this.lasso));
    else if (this.dragged <= 5) {
      const found = this.near(event.offsetX, event.offsetY);
      if (found >= 0 && event.pointerType !== "mouse" && found !== this.hovered)
        this.hover(found); // a finger looks first, then opens
      else if (found >= 0) this.on.open(found);
    }
    this.endLasso();
  }

  endLasso() {
    this.overlay?.remove();
    this.lasso = this.overlay = null;
  }

  // From CSS pixels of the screen to the map.
  onMap([x, y]) {
    const { clientWidth: width, clientHeight: height } = this.canvas,
      { unit, middle } = this;
    return [middle[0] + (x - width / 2) / unit, middle[1] + (y - height / 2) / unit];
  }

  // The paintings in a box of the screen, as its two corners.
  between(corner, opposite) {
    const { x, y } = this.found,
      [left, top] = this.onMap(corner),
      [right, bottom] = this.onMap(opposite);
    return [...x.keys()].filter((i) => x[i] >= left && x[i] <= right && y[i] >= top && y[i] <= bottom);
  }

  // The paintings in a polygon on the screen, by the even-odd rule.
  within(polygon) {
    const { x, y } = this.found,
      points = polygon.map((point) => this.onMap(point)),
      [across, down] = [0, 1].map((axis) => polygon.map((point) => point[axis]));
    return this.between([Math.min(...across), Math.min(...down)], [Math.max(...across), Math.max(...down)]).filter(
      (i) => {
        let isIn = false;
        points.forEach(([ax, ay], number) => {
          const [bx, by] = points.at(number - 1);
          if (ay > y[i] !== by > y[i] && x[i] < ((bx - ax) * (y[i] - ay)) / (by - ay) + ax) isIn = !isIn;
        });
        return isIn;
      },
    );
  }

  seen() {
    return this.between([0, 0], [this.canvas.clientWidth, this.canvas.clientHeight]);
  }

  key(event) {
    const step = 60,
      moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (moves[event.key]) this.shift(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (event.key === "Enter") {
      const found = this.near(width / 2, height / 2, Math.hypot(width, height));
      if (found >= 0) this.on.open(found);
    } else return;
    event.preventDefault();
    if (event.key !== "Enter") this.hover(this.near(width / 2, height / 2, 80));
  }

  near(x, y, reach = Math.max(REACH, this.size / 2)) {
    const { unit, found } = this,
      [mapX, mapY] = this.onMap([x, y]);
    const wide = Math.min(Math.ceil((reach / unit) * CELLS), CELLS);
    let best = -1,
      least = reach / unit;
    for (let i = -wide; i <= wide; i += 1) {
      for (let j = -wide; j <= wide; j += 1) {
        for (const place of this.cells.get(this.cell(mapX + i / CELLS, mapY + j / CELLS)) || []) {
          const apart = Math.hypot(found.x[place] - mapX, found.y[place] - mapY);
          if (apart < least) [best, least] = [place, apart];
        }
      }
    }
    return best;
  }

  hover(place) {
    if (place === this.hovered) return;
    this.hovered = place;
    this.on.hover(place);
    this.later();
  }

  later() {
    this.frame ??= requestAnimationFrame((now) => {
      this.frame = undefined;
      this.draw(now);
    });
  }

  // Something moves: until it rests, fewer pixels may be drawn.
  moved() {
    this.isMoving = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.isMoving = false;
      this.later();
    }, REST_MS);
    this.later();
  }

  rest() {
    clearTimeout(this.resting);
  }

  // How many pixels are drawn for one of the screen: where the frames of a movement come too late, fewer; at rest each.
  fineness(now) {
    const isOn = this.isMoving && this.wasMoving,
      apart = now - this.drawnAt;
    Object.assign(this, { drawnAt: now, wasMoving: this.isMoving });
    if (isOn) this.pace += (Math.min(apart, LONGEST_MS) - this.pace) / 4;
    if (this.pace > SLOW_MS && this.coarse > COARSEST) Object.assign(this, { coarse: this.coarse / 2, pace: 0 });
    return this.isMoving ? this.coarse : 1;
  }

  draw(now) {
    const { size, middle, unit, hovered, marked, canvas } = this,
      style = getComputedStyle(canvas);
    const rgb = (name) => {
      const hex = parseInt(style.getPropertyValue(name).trim().slice(1), 16);
      return [hex >> 16, (hex >> 8) & 255, hex & 255];
    };
    const near = this.found.cell ? Math.min(Math.max((size - FADE[0]) / (FADE[1] - FADE[0]), 0), 1) : 0;
    this.drawing.draw({
      middle,
      unit,
      size,
      point: Math.min(size, LARGEST_POINT),
      near,
      hovered,
      marked,
      paper: rgb("--sheet"),
      accent: rgb("--accent"),
      fineness: this.fineness(now),
    });
    Object.assign(canvas.dataset, { drawn: this.found.ids.length, width: canvas.width });
  }
}
