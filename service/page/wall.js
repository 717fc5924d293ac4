// A wall of thumbnails that is as long as the collection: only what is on the screen is there, and fetched as it is
// scrolled to. Of an index without pictures it is one of words.

import { get } from "./api.js";
import { h, link } from "./dom.js";
import { named, picture, star } from "./paintings.js";

// In px: of a picture, of the words below it, between two, of words alone.
const SIDE = 132;
const LINES = 40;
const GAP = 8;
const WORDS = 240;
export const PER_PAGE = 100;
const AROUND = 3; // rows above and below the screen that are there, too
const REST_MS = 120; // a page that only flies by is not asked for

// path: what the service is asked for; first: its first page of PER_PAGE paintings.
export function wall(path, first, signal) {
  const hasPictures = first.paintings.some((each) => each.path),
    least = hasPictures ? SIDE : WORDS,
    height = (hasPictures ? SIDE : 0) + LINES + GAP;
  const place = h("ul", { class: "wall", "aria-label": "Thumbnails" });
  const known = new Map([[1, first.paintings]]),
    asked = new Set([1]),
    there = new Map(); // pages; cells by number
  let across = 0,
    resting,
    frame;
  const fetchPage = async (page) => {
    asked.add(page);
    try {
      known.set(page, (await get(`${path}&per_page=${PER_PAGE}&page=${page}`, signal)).paintings);
      show();
    } catch {
      asked.delete(page);
    } // scrolled to again, it is asked for again
  };
  const paintingAt = (number) => known.get(Math.floor(number / PER_PAGE) + 1)?.[number % PER_PAGE];
  const cell = (number) => {
    const painting = paintingAt(number),
      item = h("li", { "aria-setsize": first.total, "aria-posinset": number + 1 });
    if (painting)
      item.append(
        star(painting),
        h(
          "a",
          { href: link("painting", { id: painting.id }), title: named(painting) },
          hasPictures && Object.assign(picture(painting), { loading: "eager" }),
          h("span", {}, painting.artist || "artist unknown"),
          h("span", { class: "quiet" }, painting.title || painting.id),
        ),
      );
    item.isFull = Boolean(painting);
    return item;
  };
  const show = () => {
    frame = undefined;
    const { top, width } = place.getBoundingClientRect();
    const fits = Math.max(hasPictures ? 2 : 1, Math.floor((width + GAP) / (least + GAP))),
      step = (width + GAP) / fits;
    if (fits !== across) {
      across = fits;
      there.forEach((item) => item.remove());
      there.clear();
    }
    place.style.height = `${Math.ceil(first.total / across) * height}px`;
    const start = Math.max(0, Math.floor(-top / height) - AROUND) * across;
    const end = Math.min(first.total, (Math.ceil((innerHeight - top) / height) + AROUND) * across);
    for (const [number, item] of there) {
      const isOut = number < start || number >= end,
        isStale = !item.isFull && paintingAt(number);
      if ((isOut && !item.contains(document.activeElement)) || isStale) {
        item.querySelector("img")?.removeAttribute("src"); // what has not come yet need not
        item.remove();
        there.delete(number);
      }
    }
    for (let number = start; number < end; number += 1) {
      if (there.has(number)) continue;
      const item = cell(number),
        next = [...there.keys()].filter((each) => each > number);
      Object.assign(item.style, {
        transform: `translate(${(number % across) * step}px, ${Math.floor(number / across) * height}px)`,
        width: `${step - GAP}px`,
      });
      place.insertBefore(item, next.length ? there.get(Math.min(...next)) : null); // in reading order, for Tab
      there.set(number, item);
    }
    clearTimeout(resting);
    resting = setTimeout(() => {
      for (let page = Math.floor(start / PER_PAGE) + 1; page <= Math.floor((end - 1) / PER_PAGE) + 1; page += 1)
        if (!asked.has(page)) fetchPage(page);
    }, REST_MS);
  };
  const later = () => {
    frame ??= requestAnimationFrame(show);
  };
  addEventListener("scroll", later, { passive: true, signal });
  const resized = new ResizeObserver(later);
  resized.observe(place);
  signal.addEventListener("abort", () => {
    resized.disconnect();
    clearTimeout(resting);
  });
  return place;
}
