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
let changing = ""; // the assumption that is being changed: it has the focus still when the answer comes
const RATES = { 0.1: "10% of pairs by two artists", 0.01: "1%", 0.001: "0.1%" };

export function compare(parameters, signal, go) {
  const sides = { a: chosen(parameters, "a"), b: chosen(parameters, "b") };
  const decision = { prior: parameters.get("prior") || "0.5", fpr: parameters.get("fpr") || "0.1" };
  const moved = (changes) =>
    go(
      link("compare", {
        ...asParameters("a", sides.a),
        ...asParameters("b", sides.b),
        prior: decision.prior === "0.5" ? "" : decision.prior,
        fpr: decision.fpr === "0.1" ? "" : decision.fpr,
        ...changes,
      }),
    );
  const put = (name) => (choice) => {
    sides[name] = choice;
    moved({});
  };
  const slots = { a: slot("Painting A", sides.a, put("a")), b: slot("Painting B", sides.b, put("b")) };
  const answer = h("div", { "aria-live": "polite" });
  const choose = (name, options, words) =>
    h(
      "label",
      {},
      h("span", {}, words),
      h(
        "select",
        {
          id: `assumed-${name}`,
          onchange: (event) => {
            changing = event.target.id;
            moved({ [name]: event.target.value });
          },
        },
        Object.entries(options).map(([value, text]) =>
          h("option", { value, selected: value === decision[name] }, text),
        ),
      ),
    );
  const assumptions = h(
    "div",
    { class: "row no-print" },
    choose("prior", PRIORS, "Share of pairs by one artist that you expect"),
    choose("fpr", RATES, "The threshold lets pass"),
  );
  if (isThere(sides.a) && isThere(sides.b)) {
    answer.append(waiting("Comparing the two …"));
    Promise.all([
      post("pair", { a: asField(sides.a), b: asField(sides.b), ...decision }, signal),
      get("index?full", signal),
    ]).then(
      ([verdict, manifest]) => {
        within(
          answer,
          ...told(
            verdict,
            manifest,
            sides,
            slots,
            assumptions,
            Boolean(changing) || parameters.has("prior") || parameters.has("fpr"),
            signal,
          ),
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

function told(verdict, manifest, sides, slots, assumptions, isAssumed, signal) {
  const { outside } = manifest.calibration;
  const pairs = !verdict.a.painting && !verdict.b.painting && outside ? outside : manifest.calibration.pairs;
  const scale = verdict.neighbourhood_similarity == null ? pairs.by_distance : pairs.by_fused_distance;
  const similarity = verdict.neighbourhood_similarity;
  const shift = similarity == null ? 0 : pairs.neighbourhood_weight * (1 - similarity);
  const { headline, notes, details } = verdict.summary;
  return [
    h(
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
        assumptions,
        isDrawable(scale) && distributions(scale, verdict, shift),
        h(
          "p",
          { class: "quiet" },
          isDrawable(scale) &&
            `The curves are ${count(pairs.same_pairs, "pair")} by one artist and ${count(pairs.different_pairs, "pair")} by two, `,
          isDrawable(scale) && shift && "shifted by the neighbourhood similarity of these two; ",
          isDrawable(scale) && `${percent(beyond(scale))} of those by two lie farther out. `,
          `Measured on ${verdict.measured_on}.`,
        ),
      ),
    ),
    closely(sides, slots, signal),
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
            h("h3", {}, name === "a" ? "Painting A" : "Painting B"),
            ranked(verdict[name].artists, verdict[name].unknown, (each) =>
              bar(artistLink(each.artist), each.probability),
            ),
          ),
        ),
      ),
    ),
    h(
      "section",
      { class: "sheet" },
      h("h2", {}, `Neighbours of both: ${verdict.shared.length || "none"}`),
      evidence(
        verdict.shared.map((each) => [
          each.painting,
          `${each.distance_a.toFixed(3)} and ${each.distance_b.toFixed(3)} away`,
        ]),
      ),
    ),
    keep(verdict, "verdict.json"),
  ];
}

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
