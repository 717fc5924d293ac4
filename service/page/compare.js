// Compare: were these two painted by the same artist?

import { get, post } from "./api.js";
import { beyond, distributions, isDrawable } from "./chart.js";
import { sideBySide } from "./closely.js";
import { bar, count, gauge, h, keep, link, percent, problem, ranked, waiting, within } from "./dom.js";
import { artistLink, evidence } from "./paintings.js";
import { asField, asParameters, chosen, isThere, slot } from "./slot.js";

const PARTS = 3; // drawn, of the nine that are compared
const PRIORS = {
  0.5: "half of them (two works you chose)",
  0.1: "one in ten",
  0.01: "one in a hundred (two works at random)",
};
const RATES = { 0.1: "10% of pairs by two artists", 0.01: "1%", 0.001: "0.1%" };
const USUAL = { prior: "0.5", fpr: "0.1" };
let changing = ""; // the assumption that is being changed: it has the focus still when the answer comes

export function compare(parameters, signal, go) {
  const sides = { a: chosen(parameters, "a"), b: chosen(parameters, "b") };
  const given = Object.fromEntries(Object.keys(USUAL).map((name) => [name, parameters.get(name) || USUAL[name]]));
  const moved = (changes) => {
    const assumed = Object.entries({ ...given, ...changes }).filter(([name, value]) => value !== USUAL[name]);
    go(
      link("compare", {
        ...asParameters("a", sides.a),
        ...asParameters("b", sides.b),
        ...Object.fromEntries(assumed),
      }),
    );
  };
  const put = (name) => (choice) => {
    sides[name] = choice;
    moved({});
  };
  const slots = { a: slot("Painting A", sides.a, put("a")), b: slot("Painting B", sides.b, put("b")) };
  const answer = h("div", { "aria-live": "polite" });
  if (isThere(sides.a) && isThere(sides.b)) {
    answer.append(waiting("Comparing the two …"));
    const isAssumed = Boolean(changing) || Object.keys(USUAL).some((name) => parameters.has(name));
    Promise.all([
      post("pair", { a: asField(sides.a), b: asField(sides.b), ...given }, signal),
      get("index?full", signal),
    ]).then(
      ([verdict, { calibration }]) => {
        within(
          answer,
          decided(verdict, calibration, assumptions(given, moved), isAssumed),
          closely(sides, slots, signal),
          nearEach(verdict),
          nearBoth(verdict),
          keep(verdict, "verdict.json"),
        );
        if (changing) document.getElementById(changing).focus();
        changing = "";
      },
      (error) => signal.aborted || within(answer, problem(error)),
    );
  } else {
    answer.append(h("p", { class: "quiet" }, "The verdict appears here once both are there."));
  }
  return {
    title: "Compare",
    paste: (list) => (isThere(sides.a) ? slots.b : slots.a).take(list),
    content: [
      h("h1", {}, "Were these two painted by the same artist?"),
      h("div", { class: "pair compared" }, slots.a, slots.b),
      answer,
    ],
  };
}

// What the verdict assumes, to be changed; moved({ name: value }) is called with a change.
function assumptions(given, moved) {
  const choose = (name, options, words) => {
    const change = (event) => {
      changing = event.target.id;
      moved({ [name]: event.target.value });
    };
    return h(
      "label",
      {},
      h("span", {}, words),
      h(
        "select",
        { id: `assumed-${name}`, onchange: change },
        Object.entries(options).map(([value, text]) => h("option", { value, selected: value === given[name] }, text)),
      ),
    );
  };
  return h(
    "div",
    { class: "row no-print" },
    choose("prior", PRIORS, "Share of pairs by one artist that you expect"),
    choose("fpr", RATES, "The threshold lets pass"),
  );
}

// The verdict in words, and what it assumes below; isAssumed: that is open.
function decided(verdict, calibration, assumed, isAssumed) {
  const { headline, notes, details } = verdict.summary;
  return h(
    "section",
    { class: `sheet verdict${verdict.probability >= 0.5 ? " same" : ""}`, "aria-label": "Verdict" },
    h("h2", { id: "verdict" }, headline),
    gauge(verdict.probability),
    notes.map((note) => h("p", { class: "caution" }, note)),
    h(
      "details",
      { open: isAssumed },
      h("summary", {}, "What this assumes, and the threshold"),
      details.map((each) => h("p", {}, each)),
      assumed,
      measured(verdict, calibration),
    ),
  );
}

// Where these two are among the pairs that were measured.
function measured(verdict, { outside, pairs: inside }) {
  const pairs = !verdict.a.painting && !verdict.b.painting && outside ? outside : inside,
    { neighbourhood_similarity: similarity } = verdict;
  const scale = similarity == null ? pairs.by_distance : pairs.by_fused_distance,
    shift = similarity == null ? 0 : pairs.neighbourhood_weight * (1 - similarity);
  const source = `Measured on ${verdict.measured_on}.`;
  if (!isDrawable(scale)) return h("p", { class: "quiet" }, source);
  return [
    distributions(scale, verdict, shift),
    h(
      "p",
      { class: "quiet" },
      `The curves are ${count(pairs.same_pairs, "pair")} by one artist and ${count(pairs.different_pairs, "pair")} by two, `,
      shift > 0 && "shifted by the neighbourhood similarity of these two; ",
      `${percent(beyond(scale))} of those by two lie farther out. `,
      source,
    ),
  ];
}

const nearEach = (verdict) =>
  h(
    "section",
    { class: "sheet" },
    h("h2", {}, "Who is near to each"),
    h("p", { class: "quiet" }, "The most probable artists of either, the other painting left out."),
    h(
      "div",
      { class: "pair" },
      ["a", "b"].map((name) =>
        h(
          "div",
          {},
          h("h3", {}, `Painting ${name.toUpperCase()}`),
          ranked(verdict[name].artists, verdict[name].unknown, (each) =>
            bar(artistLink(each.artist), each.probability),
          ),
        ),
      ),
    ),
  );

const nearBoth = ({ shared }) =>
  h(
    "section",
    { class: "sheet" },
    h("h2", {}, `Neighbours of both: ${shared.length || "none"}`),
    evidence(
      shared.map((each) => [each.painting, `${each.distance_a.toFixed(3)} and ${each.distance_b.toFixed(3)} away`]),
    ),
  );

// The two side by side, to be looked into, and on them the parts that look most alike: these take some seconds.
function closely(sides, slots, signal) {
  const section = h("section", { class: "sheet no-print", "aria-label": "Look closely" }, h("h2", {}, "Look closely"));
  const place = h("div", { class: "marked" }),
    said = h("div", { "aria-live": "polite" });
  const surfaces = [
    (region, draw) =>
      ["a", "b"].forEach((name) => slots[name].querySelector(".fit").append(placed(draw(), region[name]))),
  ];
  let regions = [];
  const mark = (surface) =>
    regions.forEach((region, number) => surface(region, () => h("div", { class: "part" }, h("b", {}, number + 1))));
  const open = async (event) => {
    event.target.disabled = true;
    within(place, waiting("Opening the two …"));
    try {
      const surface = await sideBySide(place, sides, signal);
      event.target.remove();
      place.querySelector("[role=application]").focus();
      surfaces.push(surface);
      mark(surface);
    } catch (error) {
      if (!signal.aborted) within(place, problem(error));
    }
  };
  const compareParts = async (event) => {
    const { target } = event,
      isShown = target.getAttribute("aria-pressed") !== "true";
    target.setAttribute("aria-pressed", isShown);
    [place, slots.a, slots.b].forEach((each) => each.classList.toggle("unmarked", !isShown));
    if (regions.length) return;
    within(said, waiting("Comparing nine parts of each …"));
    target.disabled = true;
    try {
      regions = (await post("regions", { a: asField(sides.a), b: asField(sides.b) }, signal)).regions.slice(0, PARTS);
      surfaces.forEach(mark);
      within(
        said,
        h(
          "ol",
          {},
          regions.map((region) =>
            h(
              "li",
              {},
              `${where(region.a)} of the one and ${where(region.b)} of the other: distance ${region.distance.toFixed(3)}`,
            ),
          ),
        ),
        h(
          "p",
          { class: "quiet" },
          "The model compared nine overlapping parts of each; the same number marks a pair. A hint for the eye, not a part of the verdict.",
        ),
      );
    } catch (error) {
      target.setAttribute("aria-pressed", false);
      within(said, problem(error));
    }
    target.disabled = false;
  };
  Promise.all([slots.a.ready, slots.b.ready]).then(() => {
    if (slots.a.hasImage && slots.b.hasImage) {
      section.append(
        h(
          "div",
          { class: "row" },
          h("button", { type: "button", onclick: open }, "Open both side by side"),
          h(
            "button",
            { type: "button", "aria-pressed": "false", onclick: compareParts },
            "Mark the parts that look most alike",
          ),
        ),
        place,
        said,
      );
    } else
      section.append(
        h(
          "p",
          { class: "quiet" },
          `The index has no image of ${slots.a.hasImage || slots.b.hasImage ? "one of them" : "either"}, so they cannot be looked at side by side.`,
        ),
      );
  });
  return section;
}

function placed(box, [left, top, right, bottom]) {
  Object.assign(box.style, {
    left: `${100 * left}%`,
    top: `${100 * top}%`,
    width: `${100 * (right - left)}%`,
    height: `${100 * (bottom - top)}%`,
  });
  return box;
}

function where([left, top]) {
  const across = ["left", "middle", "right"][Math.round(left * 4)],
    down = ["top", "middle", "bottom"][Math.round(top * 4)];
  return across === "middle" && down === "middle" ? "the middle" : `the ${down} ${across}`;
}
