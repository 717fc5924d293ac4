// Which pictures of the map are there. They come in sheets of 64 paintings that follow each other along a curve through
// the plane, so that a view needs few sheets: those in view are fetched, the nearest to its middle first, and kept in the
// slots of one texture until others need the room.

import { OUTDATED, blobOf } from "./api.js";

export const ON_A_SHEET = 64;
const MOST_SLOTS = 256; // 16,384 pictures: more than fit on a screen when they are large enough to be told apart
const AT_ONCE = 3; // sheets that are fetched
const AGAIN_MS = 2000; // until a sheet is asked for again
const SHOWN_MS = 300; // between two drawings while sheets come
const BUSY = new Set([429, 503]);
const NONE = -1;

export class Sheets {
  // found: the map as the service gives it.
  constructor(found) {
    const count = found.cell ? Math.ceil(found.ids.length / ON_A_SHEET) : 0;
    Object.assign(this, {
      generation: found.generation,
      boxes: Array.from({ length: count }, (_, sheet) => boxOf(found, sheet)),
      slotOf: new Int16Array(count).fill(NONE), // where the pictures of each sheet are
      heldBy: new Int16Array(Math.min(count, MOST_SLOTS)).fill(NONE), // the sheet of each slot, or that it waits for
      seenAt: new Uint32Array(count), // in which view each was last
      views: 0,
      missing: [], // of this view, the nearest to its middle last
      asked: new Set(), // on their way, or not to be had
      fetching: 0,
      shownAt: 0,
      isChanged: true, // slotOf, since it was last drawn
    });
  }

  // on: { put(blob, slot), a promise, takes a sheet that has come; drawn() shows it; outdated() hears that the index is
  // another one by now }.
  start(signal, on) {
    Object.assign(this, { signal, on });
    this.fetchSome();
  }

  // Gives the sheets with a painting in a box of the map, [left, top, right, bottom], and sees to it that they come.
  look([left, top, right, bottom]) {
    this.views += 1;
    const seen = [];
    this.boxes.forEach(([from, above, to, below], sheet) => {
      if (from > right || to < left || above > bottom || below < top) return;
      seen.push(sheet);
      this.seenAt[sheet] = this.views;
    });
    const apart = (sheet) => {
      const [from, above, to, below] = this.boxes[sheet];
      return Math.hypot(from + to - left - right, above + below - top - bottom);
    };
    this.missing = seen
      .filter((sheet) => this.slotOf[sheet] === NONE && !this.asked.has(sheet))
      .map((sheet) => [apart(sheet), sheet])
      .sort(([one], [other]) => other - one)
      .map(([, sheet]) => sheet);
    this.fetchSome();
    return seen;
  }

  fetchSome() {
    while (this.on && !this.signal.aborted && this.fetching < AT_ONCE && this.missing.length) {
      const slot = this.emptied();
      if (slot === NONE) return;
      this.fetch(this.missing.pop(), slot);
    }
  }

  // A slot that is free now: the one out of view for the longest time.
  emptied() {
    const last = (slot) => (this.heldBy[slot] === NONE ? -1 : this.seenAt[this.heldBy[slot]]);
    let best = 0;
    for (let slot = 1; slot < this.heldBy.length; slot += 1) if (last(slot) < last(best)) best = slot;
    const held = this.heldBy[best];
    if (held === NONE) return best;
    if (this.seenAt[held] === this.views || this.asked.has(held)) return NONE;
    this.slotOf[held] = NONE;
    this.isChanged = true;
    return best;
  }

  async fetch(sheet, slot) {
    this.fetching += 1;
    this.asked.add(sheet);
    this.heldBy[slot] = sheet;
    try {
      await this.on.put(await blobOf(`v1/map/sheets/${sheet}`, this.signal, this.generation), slot);
      this.slotOf[sheet] = slot;
      this.isChanged = true;
      this.asked.delete(sheet);
    } catch (error) {
      this.heldBy[slot] = NONE;
      if (!this.signal.aborted) this.failed(error, sheet);
    }
    this.fetching -= 1;
    this.fetchSome();
    if (this.fetching && performance.now() - this.shownAt < SHOWN_MS) return;
    this.shownAt = performance.now();
    if (!this.signal.aborted) this.on.drawn();
  }

  failed(error, sheet) {
    if (error.status === OUTDATED) this.on.outdated();
    else if (BUSY.has(error.status))
      setTimeout(() => {
        this.asked.delete(sheet);
        if (!this.signal.aborted) this.on.drawn();
      }, AGAIN_MS);
    else console.debug(error.message);
  }
}

// What part of the map the paintings of a sheet lie in.
function boxOf({ x, y }, sheet) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let i = sheet * ON_A_SHEET; i < Math.min(x.length, (sheet + 1) * ON_A_SHEET); i += 1) {
    box[0] = Math.min(box[0], x[i]);
    box[1] = Math.min(box[1], y[i]);
    box[2] = Math.max(box[2], x[i]);
    box[3] = Math.max(box[3], y[i]);
  }
  return box;
}
