// Map: the whole index on a plane, from far as colours, from near as pictures, with a timeline, words that highlight and
// a lasso.

import { all, get } from "./api.js";
import { count, csv, h, link, problem, save, svg, waiting, within } from "./dom.js";
import { DIM, LIT, USUAL } from "./drawing.js";
import { card, named, picture } from "./paintings.js";
import { Plane } from "./plane.js";

const COLOURS = [
  "#c4442a",
  "#2f6db5",
  "#2f8f4e",
  "#d08a00",
  "#8552b0",
  "#0f9a9a",
  "#c2417f",
  "#7a6a00",
  "#5560d6",
  "#a0522d",
  "#5b9bd5",
  "#8fb339",
];
const GREY = "#8d8780";
const LATER_MS = 2000;
const BARS = 80;
const LISTED = 48;
const MOST_LIT = 1000;
const CLOSER = 1.5; // by a button

const inOrder = new Intl.Collator().compare;

export function map(parameters, signal, go) {
  const content = h("div", {}, waiting("Fetching the map …"));
  const ask = async () => {
    try {
      const found = await get("map", signal);
      if (found.ids) new MapView(content, found, Object.fromEntries(parameters), signal, go).show();
      else {
        within(content, waiting(`${found.detail} …`));
        setTimeout(() => signal.aborted || ask(), LATER_MS);
      }
    } catch (error) {
      if (!signal.aborted) within(content, problem(error));
    }
  };
  ask();
  return { title: "Map", content: [h("h1", {}, "The map of the index"), content] };
}

class MapView {
  // found: the map as the service gives it; asked: what stands in the link.
  constructor(content, found, asked, signal, go) {
    Object.assign(this, {
      content,
      found,
      asked,
      signal,
      go,
      lit: new Set(), // by words; both hold places on the map
      chosen: new Set(),
      canvas: h("canvas", { tabindex: "0", role: "application" }),
      tip: h("div", { class: "tip", hidden: true }),
      legend: h("ul", { class: "legend" }),
      one: h("span"),
      changed: h("div", { role: "status" }),
      said: h("span", { class: "quiet", role: "status" }),
      list: h("section", { "aria-live": "polite", "aria-label": "Chosen" }),
    });
    if (!found.labels[asked.by]) [asked.by] = Object.keys(found.labels);
    // Throws where the browser cannot draw it.
    this.plane = new Plane(this.canvas, found, found.ids.indexOf(asked.id), {
      open: (i) => go(link("painting", { id: found.ids[i] })),
      chosen: (places) => this.choose(places),
      hover: (i) => tell(this.tip, this.plane, found, i),
    });
  }

  show() {
    const { canvas, plane, signal, found } = this;
    const resized = new ResizeObserver(() => plane.later());
    resized.observe(canvas);
    signal.addEventListener("abort", () => {
      resized.disconnect();
      plane.rest();
    });
    within(
      this.content,
      h("div", { class: "row" }, this.search(), this.colouredBy(), this.one),
      this.legend,
      this.changed,
      h("div", { class: "map" }, canvas, this.tip, this.controls()),
      timeline(found.years, this.asked, (changes) => {
        this.keep(changes);
        this.colour();
      }),
      this.list,
      this.explained(),
    );
    this.relabel();
    this.light();
    plane.drawing.load(
      signal,
      () => plane.later(),
      () => within(this.changed, outdated(this.go)),
    );
  }

  // The link shows what is seen.
  keep(changes) {
    Object.assign(this.asked, changes);
    history.replaceState(null, "", link("map", this.asked));
  }

  get label() {
    return this.found.labels[this.asked.by] || { values: [], codes: [] };
  }

  search() {
    const words = h("input", { type: "search", value: this.asked.q || "", placeholder: "artist, title or id" });
    const submit = (event) => {
      event.preventDefault();
      this.keep({ q: words.value.trim() });
      this.light();
    };
    return h(
      "form",
      { role: "search", "aria-label": "The map", class: "row grow", onsubmit: submit },
      h("label", { class: "grow" }, h("span", {}, "Highlight those with the words"), words),
      h("button", {}, "Highlight"),
      this.said,
    );
  }

  // Light up the paintings with the words.
  async light() {
    const { asked, found, said, signal } = this;
    this.lit = new Set();
    said.textContent = "";
    try {
      if (asked.q) {
        const places = new Map(found.ids.map((id, i) => [id, i]));
        const has = await all(`paintings?q=${encodeURIComponent(asked.q)}`, "paintings", signal, MOST_LIT);
        this.lit = new Set(has.map((each) => places.get(each.id)).filter((place) => place != null));
        said.textContent =
          has.total > has.length
            ? `the first ${count(has.length, "painting")} of ${has.total.toLocaleString("en")}`
            : count(has.total, "painting");
      }
      this.colour();
    } catch (error) {
      if (!signal.aborted) within(this.list, problem(error));
    }
  }

  colouredBy() {
    const names = Object.keys(this.found.labels);
    const change = (event) => {
      this.keep({ by: event.target.value, only: "" });
      this.relabel();
      this.colour();
    };
    return (
      names.length > 1 &&
      h(
        "label",
        {},
        h("span", {}, "Colour by"),
        h(
          "select",
          { onchange: change },
          names.map((name) => h("option", { value: name, selected: name === this.asked.by }, name)),
        ),
      )
    );
  }

  // Other values have colours now.
  relabel() {
    const { asked, found } = this,
      { values } = this.label;
    within(
      this.one,
      values.length > COLOURS.length &&
        h(
          "label",
          {},
          h("span", {}, `Show one ${asked.by}`),
          h(
            "select",
            { onchange: (event) => this.showOnly(event.target.value) },
            h("option", { value: "" }, "all"),
            [...values].sort(inOrder).map((value) => h("option", { value }, value)),
          ),
        ),
    );
    this.canvas.setAttribute(
      "aria-label",
      `${count(found.ids.length, "painting")}, coloured by ${asked.by || "nothing"}. Arrows move, plus and minus zoom, 0 shows all, Enter opens the painting nearest to the middle. The collection lists the same paintings.`,
    );
    this.legendOf(values);
  }

  showOnly(value) {
    this.keep({ only: value });
    this.legendOf(this.label.values);
    this.colour();
  }

  legendOf(values) {
    const { only } = this.asked;
    const few = [...values.slice(0, COLOURS.length), ...(values.indexOf(only) >= COLOURS.length ? [only] : [])];
    const all = this.one.querySelector("select");
    if (all) all.value = only || "";
    within(
      this.legend,
      few.map((value) => {
        const dot = h("i", {}),
          isOnly = value === only;
        dot.style.background = COLOURS[values.indexOf(value) % COLOURS.length];
        const choose = () => this.showOnly(isOnly ? "" : value);
        return h(
          "li",
          {},
          h("button", { type: "button", "aria-pressed": String(isOnly), onclick: choose }, dot, value),
        );
      }),
    );
  }

  colour() {
    const { lit, chosen, asked } = this,
      { values, codes } = this.label,
      only = values.indexOf(asked.only),
      isInTime = inTime(this.found.years, asked),
      hasWords = Boolean(asked.q);
    const grey = COLOURS.length,
      colours = [...COLOURS, GREY].map(asNumber);
    const colourOf = (code) => (code < 0 ? grey : only < 0 ? Math.min(code, grey) : code === only ? only % grey : grey);
    const isOut = (i) => !isInTime(i) || (only >= 0 && codes[i] !== only) || (hasWords && !lit.has(i));
    this.plane.drawing.colour(
      (i) => colours[colourOf(codes[i] ?? -1)],
      (i) => (isOut(i) ? DIM : hasWords || chosen.has(i) ? LIT : USUAL),
    );
    this.plane.later();
  }

  choose(places) {
    this.chosen = new Set(places);
    within(this.list, places.length > 0 && listed(this.found, places, this.signal, () => this.choose([])));
    this.colour();
  }

  controls() {
    const { plane, canvas } = this;
    const button = (words, act, label) => h("button", { type: "button", "aria-label": label, onclick: act }, words);
    const lasso = button("Lasso", () => {
      plane.isSelecting = !plane.isSelecting;
      lasso.setAttribute("aria-pressed", plane.isSelecting);
      canvas.classList.toggle("selecting", plane.isSelecting);
    });
    lasso.setAttribute("aria-pressed", "false");
    return h(
      "div",
      { class: "over" },
      button("+", () => plane.zoom(CLOSER), "zoom in"),
      button("−", () => plane.zoom(1 / CLOSER), "zoom out"),
      button("All", () => plane.reset()),
      lasso,
      button("Choose what is visible", () => this.choose(plane.seen())),
    );
  }

  explained() {
    const { ids, total } = this.found;
    return h(
      "p",
      { class: "quiet" },
      count(ids.length, "painting"),
      total > ids.length && `, sampled at random, of ${total.toLocaleString("en")}`,
      ". Neighbours on the map are neighbours for the model; how far apart two groups lie means nothing. Shift and drag also draws a lasso. ",
      h("a", { href: link("collection") }, "The collection"),
      " lists the same paintings.",
    );
  }
}

// "#rrggbb" with red as the lowest byte, as WebGL reads it.
function asNumber(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return red + 256 * (green + 256 * blue);
}

function tell(tip, plane, found, place) {
  tip.hidden = place < 0;
  if (place < 0) return;
  const [x, y] = plane.at(place),
    id = found.ids[place],
    { clientWidth: width, clientHeight: height } = plane.canvas;
  tip.style.left = `${Math.min(Math.max(x + 24, 4), width - 190)}px`;
  tip.style.top = `${y > height / 2 ? Math.max(4, y - 230) : y + 24}px`;
  tip.textContent = id;
  clearTimeout(tip.asking); // a mouse that only passes asks for nothing
  tip.asking = setTimeout(
    () =>
      get(`paintings/${encodeURIComponent(id)}`).then(
        (facts) => {
          if (plane.hovered === place)
            within(tip, facts.has_image ? picture(facts.painting) : "", named(facts.painting));
        },
        () => {},
      ),
    80,
  );
}

const outdated = (go) =>
  h(
    "p",
    { class: "caution" },
    "The index has changed since this map was fetched. ",
    h("button", { type: "button", onclick: () => go(location.hash) }, "Fetch it again"),
  );

// What was lassoed: the first as cards, all of them as a file.
function listed(found, places, signal, clear) {
  const cards = h("ul", { class: "grid small" }, waiting("Fetching them …"));
  Promise.all(
    places.slice(0, LISTED).map((place) => get(`paintings/${encodeURIComponent(found.ids[place])}`, signal)),
  ).then(
    (facts) =>
      within(
        cards,
        facts.map((each) => card(each.painting)),
      ),
    (error) => signal.aborted || within(cards, problem(error)),
  );
  const table = csv([["id"], ...places.map((place) => [found.ids[place]])]);
  return [
    h("h2", {}, `${count(places.length, "painting")} chosen`),
    h(
      "div",
      { class: "row" },
      save(table, "text/csv", "chosen.csv", "Save their ids as CSV"),
      h("button", { type: "button", onclick: clear }, "Choose none"),
    ),
    cards,
    places.length > LISTED && h("p", { class: "quiet" }, `The first ${LISTED} are shown; the file has all.`),
  ];
}

function inTime(years, { from, to }) {
  const [first, last] = [from ? Number(from) : -Infinity, to ? Number(to) : Infinity];
  return from || to ? (i) => years[i] != null && years[i] >= first && years[i] <= last : () => true;
}

// How many paintings are of each time, and two sliders that show those between them.
function timeline(years, asked, changed) {
  const known = years.filter((year) => year != null);
  const start = known.reduce((least, year) => Math.min(least, year), Infinity),
    end = known.reduce((most, year) => Math.max(most, year), -Infinity);
  if (!(start < end)) return null;
  const step = Math.max(1, Math.ceil((end - start + 1) / BARS)),
    bars = new Array(Math.ceil((end - start + 1) / step)).fill(0);
  known.forEach((year) => {
    bars[Math.floor((year - start) / step)] += 1;
  });
  const most = bars.reduce((one, other) => Math.max(one, other)),
    told = h("p", { class: "quiet", role: "status" });
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${bars.length} 20`, preserveAspectRatio: "none", "aria-hidden": "true" },
    bars.map((bar, number) =>
      svg("rect", { x: number + 0.1, width: 0.8, y: 20 - (20 * bar) / most, height: (20 * bar) / most }),
    ),
  );
  const slider = (label, value) =>
    h("input", { type: "range", min: start, max: end, value, "aria-label": label, oninput: () => show(true) });
  const ends = [slider("from the year", asked.from || start), slider("to the year", asked.to || end)];
  const show = (isMoved) => {
    const [from, to] = ends.map((each) => Number(each.value)).sort((a, b) => a - b),
      isAll = from === start && to === end;
    told.textContent = isAll
      ? `${start} to ${end}`
      : `${from} to ${to}: ${count(known.filter((year) => year >= from && year <= to).length, "painting")}`;
    [...drawing.children].forEach((bar, number) =>
      bar.classList.toggle("out", start + (number + 1) * step <= from || start + number * step > to),
    );
    if (isMoved) changed(isAll ? { from: "", to: "" } : { from: String(from), to: String(to) });
  };
  show(false);
  return h("section", { class: "timeline", "aria-label": "Timeline" }, drawing, ends, told);
}
