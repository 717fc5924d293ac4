// Small things to build a page of: elements, addresses, words for numbers, bars, files to keep.

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

// link("collection", { q: "Monet", where: [one, other] }): the address of a view.
export function link(view, parameters = {}) {
  const given = Object.entries(parameters)
    .flatMap(([name, value]) => [value].flat().map((each) => [name, each]))
    .filter(([, value]) => value !== "" && value != null);
  return `#/${view}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

// Artists below this are noise in a list.
export const asShown = (each) => each.probability >= 0.01;

export function gauge(probability) {
  const part = h("div", { class: "fill" });
  part.style.width = `${100 * probability}%`;
  return h(
    "div",
    { class: "gauge", "aria-hidden": "true" },
    h("div", { class: "track" }, part),
    h("div", { class: "ends" }, h("span", {}, "two artists"), h("span", {}, "undecided"), h("span", {}, "one artist")),
  );
}

// An artist with a probability; what speaks for it below.
export function bar(name, probability, ...below) {
  const part = h("div", { class: "fill" });
  part.style.width = `${100 * probability}%`;
  return h(
    "li",
    {},
    h(
      "div",
      { class: "bar" },
      h("span", { class: "share" }, percent(probability)),
      h("span", {}, name),
      h("div", { class: "track" }, part),
    ),
    below,
  );
}

export function nobody(probability) {
  const row = bar(h("strong", {}, "none of the artists here"), probability);
  row.classList.add("nobody");
  return row;
}

// Artists and that it is none of them, the most probable first. rowOf(artist): the row of one.
export function ranked(artists, unknown, rowOf) {
  const rows = artists.filter(asShown).map((each) => [each.probability, rowOf(each)]);
  return h(
    "ul",
    { class: "bars" },
    [...rows, [unknown, nobody(unknown)]].sort(([one], [other]) => other - one).map(([, row]) => row),
  );
}

export function waiting(words) {
  return h("p", { class: "waiting", role: "status" }, words);
}

export function problem(error) {
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("strong", {}, error.title || "Something went wrong"),
    h("div", {}, error.message),
    error.request && h("div", { class: "quiet" }, `request ${error.request}`),
  );
}

// A link that saves a text as a file.
export const save = (text, type, name, words) =>
  h("a", { class: "button", download: name, href: URL.createObjectURL(new Blob([text], { type })) }, words);

// Rows of cells as a file for a spreadsheet, in which no cell is a formula.
export const csv = (rows) => rows.map((row) => row.map(cell).join(",")).join("\r\n");

function cell(value) {
  const text = /^[=+\-@\t\r]/.test(value ?? "") ? `'${value}` : String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// To keep an answer: as the JSON that the service gave, or on paper.
export function keep(answer, name) {
  return h(
    "div",
    { class: "row no-print" },
    save(JSON.stringify(answer, null, 1), "application/json", name, "Save as JSON"),
    h("button", { type: "button", onclick: () => print() }, "Print"),
  );
}
