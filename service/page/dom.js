// Small things to build a page of: elements, pictures, cards, words for numbers.

import { blobOf, token } from "./api.js";

const SVG = "http://www.w3.org/2000/svg";

// h("p", { class: "quiet" }, "text", element, ...): no HTML is ever made of text.
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...there(children));
  return element;
}

const there = (children) => children.flat(Infinity).filter((child) => child != null && child !== false);

// Put children in the place of those that an element has.
export const within = (element, ...children) => element.replaceChildren(...there(children));

// Whole percents, and never a certainty: as on the command line.
export function percent(probability) {
  if (probability > 0.99) return ">99%";
  return probability < 0.01 ? "<1%" : `${Math.round(probability * 100)}%`;
}

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

export function named(painting) {
  const title = painting.title || painting.id;
  return `${painting.artist || "artist not known"}, ${title}${painting.year ? ` (${painting.year})` : ""}`;
}

// link("collection", { q: "Monet", where: [one, other] }): the address of a view.
export function link(view, parameters = {}) {
  const given = Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((each) => [name, each])).filter(([, value]) => value !== "" && value != null);
  return `#/${view}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

// The picture of a painting of the index, or words where there is none.
export function picture(painting, kind = "thumbnails") {
  if (!painting.path) return blank("no image in this index");
  const image = h("img", { alt: named(painting), loading: "lazy", onerror: () => image.replaceWith(blank("image not found")) });
  const address = `v1/${kind}/${encodeURIComponent(painting.id)}`;
  if (!token()) image.src = address;
  else {
    blobOf(address).then((blob) => shownOnce(image, blob), () => image.replaceWith(blank("image not found")));
  }
  return image;
}

// Show bytes that this page has, and let go of them once they are drawn.
export function shownOnce(image, blob) {
  image.src = URL.createObjectURL(blob);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return image;
}

export const blank = (words) => h("div", { class: "blank" }, words);

export function card(painting, ...notes) {
  return h("li", {}, h("a", { class: "card", href: link("painting", { id: painting.id }) }, picture(painting),
    h("div", { class: "words" }, h("b", {}, painting.artist || "artist not known"),
      `${painting.title || painting.id}${painting.year ? ` (${painting.year})` : ""}`,
      notes.filter(Boolean).map((note) => h("div", { class: "apart" }, note)))), painting.url && h("div", { class: "words" }, elsewhere(painting)));
}

// Where people can look at a painting; nothing where the index has no address on the web.
export function elsewhere(painting, words) {
  if (!painting.url || !/^https?:\/\//i.test(painting.url)) return words ?? null;
  return h("a", { href: painting.url, target: "_blank", rel: "noopener noreferrer" }, words ?? `at ${painting.url.split("/")[2]}`);
}

// Paintings with a note each, [[painting, note], ...]: as pictures, or as a list of links where the index has no pictures.
export function evidence(found, size = "") {
  if (found.some(([painting]) => painting.path)) return h("ul", { class: `grid ${size}` }, found.map(([painting, note]) => card(painting, note)));
  return h("ul", { class: "listed" }, found.map(([painting, note]) => h("li", {}, note && h("span", { class: "note" }, note),
    h("span", {}, h("a", { href: link("painting", { id: painting.id }) }, named(painting)), painting.url && [" · ", elsewhere(painting)]))));
}

// Artists below this are noise in a list.
export const asShown = (each) => each.probability >= 0.01;

export function gauge(probability) {
  const part = h("div", { class: "fill" });
  part.style.width = `${100 * probability}%`;
  return h("div", { class: "gauge", "aria-hidden": "true" }, h("div", { class: "track" }, part),
    h("div", { class: "ends" }, h("span", {}, "two artists"), h("span", {}, "undecided"), h("span", {}, "one artist")));
}

// An artist with a probability; what speaks for it below.
export function bar(name, probability, ...below) {
  const part = h("div", { class: "fill" });
  part.style.width = `${100 * probability}%`;
  return h("li", {}, h("div", { class: "bar" }, h("span", { class: "share" }, percent(probability)),
    h("span", {}, name), h("div", { class: "track" }, part)), below);
}

export const artistLink = (name) => h("a", { href: link("artist", { name }) }, name);

export function waiting(words) {
  return h("p", { class: "waiting", role: "status" }, words);
}

export function problem(error) {
  return h("div", { class: "problem", role: "alert" }, h("strong", {}, error.title || "Something went wrong"),
    h("div", {}, error.message), error.request && h("div", { class: "quiet" }, `request ${error.request}`));
}

// A link that saves a text as a file.
export const save = (text, type, name, words) => h("a", { class: "button", download: name, href: URL.createObjectURL(new Blob([text], { type })) }, words);

// To keep an answer: as the JSON that the service gave, or on paper.
export function keep(answer, name) {
  return h("div", { class: "row no-print" }, save(JSON.stringify(answer, null, 1), "application/json", name, "Save as JSON"), h("button", { type: "button", onclick: () => print() }, "Print"));
}
