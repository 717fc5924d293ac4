// Map: the whole index on a plane, from far as colours, from near as pictures, with a timeline, words that highlight and
// a lasso.

import { all, get } from "./api.js";
import { count, csv, h, link, problem, save, svg, waiting, within } from "./dom.js";
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

export function map(parameters, signal, go) {
  const content = h("div", {}, waiting("Fetching the map …"));
  const ask = async () => {
    try {
      const found = await get("map", signal);
      if (found.ids) drawn(content, found, parameters, signal, go);
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

function drawn(content, found, parameters, signal, go) {
  const asked = Object.fromEntries(parameters),
    names = Object.keys(found.labels);
  if (!found.labels[asked.by]) asked.by = names[0];
  const keep = (changes) => {
    // the link shows what is seen
    Object.assign(asked, changes);
    history.replaceState(null, "", link("map", asked));
  };
  const canvas = h("canvas", { tabindex: "0", role: "application" });
  const tip = h("div", { class: "tip", hidden: true }),
    legend = h("ul", { class: "legend" }),
    one = h("span"),
    changed = h("div", { role: "status" }),
    list = h("section", { "aria-live": "polite", "aria-label": "Chosen" });
  let lit = new Set(),
    chosen = new Set(),
    plane; // lit: by words; places on the map
  const shown = () => {
    const { values, codes } = found.labels[asked.by] || { values: [], codes: [] };
    const only = values.indexOf(asked.only),
      isInTime = inTime(found.years, asked),
      hasWords = Boolean(asked.q);
    const colours = [...COLOURS, GREY].map(asNumber);
    plane.drawing.colour(
      (i) =>
        only >= 0
          ? colours[codes[i] === only ? only % COLOURS.length : COLOURS.length]
          : colours[codes[i] >= 0 ? Math.min(codes[i], COLOURS.length) : COLOURS.length],
      (i) =>
        !isInTime(i) || (only >= 0 && codes[i] !== only) || (hasWords && !lit.has(i))
          ? 0
          : hasWords || chosen.has(i)
            ? 2
            : 1,
    );
    plane.later();
  };
  const relabelled = () => {
    const { values } = found.labels[asked.by] || { values: [] },
      only = values.indexOf(asked.only);
    const few = [...values.slice(0, COLOURS.length), ...(only >= COLOURS.length ? [asked.only] : [])];
    const choose = (value) => {
      keep({ only: value });
      relabelled();
      shown();
    };
    within(
      legend,
      few.map((value) => {
        const dot = h("i", {});
        dot.style.background = COLOURS[values.indexOf(value) % COLOURS.length];
        return h(
          "li",
          {},
          h(
            "button",
            {
              type: "button",
              "aria-pressed": String(value === asked.only),
              onclick: () => choose(value === asked.only ? "" : value),
            },
            dot,
            value,
          ),
        );
      }),
    );
    within(
      one,
      values.length > COLOURS.length &&
        h(
          "label",
          {},
          h("span", {}, `Show one ${asked.by}`),
          h(
            "select",
            { onchange: (event) => choose(event.target.value) },
            h("option", { value: "" }, "all"),
            [...values]
              .sort((a, b) => a.localeCompare(b))
              .map((value) => h("option", { value, selected: value === asked.only }, value)),
          ),
        ),
    );
    canvas.setAttribute(
      "aria-label",
      `${count(found.ids.length, "painting")}, coloured by ${asked.by || "nothing"}. Arrows move, plus and minus zoom, 0 shows all, Enter opens the painting nearest to the middle. The collection lists the same paintings.`,
    );
  };
  const said = h("span", { class: "quiet", role: "status" });
  const light = async () => {
    lit = new Set();
    said.textContent = "";
    if (asked.q) {
      const places = new Map(found.ids.map((id, i) => [id, i]));
      const has = await all(`paintings?q=${encodeURIComponent(asked.q)}`, "paintings", signal, MOST_LIT);
      lit = new Set(has.map((each) => places.get(each.id)).filter((place) => place != null));
      said.textContent =
        has.total > has.length
          ? `the first ${count(has.length, "painting")} of ${has.total.toLocaleString("en")}`
          : count(has.total, "painting");
    }
    shown();
  };
  const choose = (places) => {
    chosen = new Set(places);
    within(list, ...(chosen.size ? listed(found, [...chosen], signal, () => choose([])) : []));
    shown();
  };
  try {
    plane = new Plane(canvas, found, found.ids.indexOf(asked.id), {
      open: (i) => go(link("painting", { id: found.ids[i] })),
      chosen: choose,
      hover: (i) => tell(tip, plane, found, i),
    });
  } catch (error) {
    within(content, problem(error));
    return;
  }
  const resized = new ResizeObserver(() => plane.later());
  resized.observe(canvas);
  signal.addEventListener("abort", () => {
    resized.disconnect();
    plane.rest();
  });
  const words = h("input", { type: "search", value: asked.q || "", placeholder: "artist, title or id" });
  const lasso = h(
    "button",
    {
      type: "button",
      "aria-pressed": "false",
      onclick: () => {
        plane.isSelecting = !plane.isSelecting;
        lasso.setAttribute("aria-pressed", plane.isSelecting);
        canvas.classList.toggle("selecting", plane.isSelecting);
      },
    },
    "Lasso",
  );
  within(
    content,
    h(
      "div",
      { class: "row" },
      h(
        "form",
        {
          role: "search",
          "aria-label": "The map",
          class: "row grow",
          onsubmit: (event) => {
            event.preventDefault();
            keep({ q: words.value.trim() });
            light();
          },
        },
        h("label", { class: "grow" }, h("span", {}, "Highlight those with the words"), words),
        h("button", {}, "Highlight"),
        said,
      ),
      names.length > 1 &&
        h(
          "label",
          {},
          h("span", {}, "Colour by"),
          h(
            "select",
            {
              onchange: (event) => {
                keep({ by: event.target.value, only: "" });
                relabelled();
                shown();
              },
            },
            names.map((name) => h("option", { value: name, selected: name === asked.by }, name)),
          ),
        ),
      one,
    ),
    legend,
    changed,
    h(
      "div",
      { class: "map" },
      canvas,
      tip,
      h(
        "div",
        { class: "over" },
        h("button", { type: "button", "aria-label": "zoom in", onclick: () => plane.zoom(1.5) }, "+"),
        h("button", { type: "button", "aria-label": "zoom out", onclick: () => plane.zoom(1 / 1.5) }, "−"),
        h("button", { type: "button", onclick: () => plane.reset() }, "All"),
        lasso,
        h("button", { type: "button", onclick: () => choose(plane.seen()) }, "Choose what is visible"),
      ),
    ),
    timeline(found.years, asked, (changes) => {
      keep(changes);
      shown();
    }),
    list,
    h(
      "p",
      { class: "quiet" },
      `${count(found.ids.length, "painting")}${found.total > found.ids.length ? `, sampled at random, of ${found.total.toLocaleString("en")}` : ""}. Neighbours on the map are neighbours for the model; how far apart two groups lie means nothing. Shift and drag also draws a lasso. `,
      h("a", { href: link("collection") }, "The collection"),
      " lists the same paintings.",
    ),
  );
  relabelled();
  light().catch((error) => signal.aborted || within(list, problem(error)));
  plane.drawing.load(
    signal,
    () => plane.later(),
    () => within(changed, outdated(go)),
  );
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
