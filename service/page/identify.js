// Identify: who might have painted this?

import { get, post } from "./api.js";
import { asShown, bar, count, h, keep, link, problem, ranked, waiting, within } from "./dom.js";
import { artistLink, evidence, samePicture, witnesses } from "./paintings.js";
import { asField, asParameters, chosen, isThere, slot } from "./slot.js";

export function identify(parameters, signal, go) {
  const choice = chosen(parameters, "image");
  const put = (other) =>
    go(
      link("identify", {
        ...Object.fromEntries(parameters),
        only: parameters.getAll("only"),
        image: "",
        "image-file": "",
        ...asParameters("image", other),
      }),
    );
  const place = slot("The painting", choice, put);
  const answer = h("div", { "aria-live": "polite" });
  if (isThere(choice)) {
    answer.append(waiting("Asking the index …"));
    post("nearest", { image: asField(choice), where: among(parameters) }, signal).then(
      (found) => within(answer, ...told(found, choice)),
      (error) => signal.aborted || within(answer, problem(error)),
    );
  } else {
    answer.append(h("p", { class: "quiet" }, "The artists who might have painted it appear here."));
  }
  const narrowed = (limits) => go(link("identify", { ...asParameters("image", choice), ...limits }));
  return {
    title: "Identify",
    paste: place.take,
    content: [
      h("h1", {}, "Who might have painted this?"),
      h("div", { class: "two turned" }, h("div", {}, place, limited(parameters, signal, narrowed)), answer),
    ],
  };
}

// Years, labels and an expression, to search only some paintings; narrowed(limits) is called with those that are given.
function limited(parameters, signal, narrowed) {
  const [from, to] = ["from", "to"].map((end) =>
    h("input", { type: "number", value: parameters.get(end) || "", min: 1, max: 2100, class: "year" }),
  );
  const where = h("input", {
    value: parameters.get("where") || "",
    placeholder: "year < 1700 and style == 'Baroque'",
    "aria-describedby": "filter-help",
  });
  const labels = h("div", { class: "row" });
  get("facets", signal).then(
    ({ facets }) =>
      within(
        labels,
        facets
          .filter((facet) => !["artist", "century"].includes(facet.name))
          .map((facet) => labelOf(facet, parameters.getAll("only"))),
      ),
    () => {}, // years and the expression do without
  );
  const apply = (event) => {
    event.preventDefault();
    const only = [...labels.querySelectorAll("select")].map((each) => each.value);
    narrowed({ from: from.value, to: to.value, where: where.value, only });
  };
  return h(
    "form",
    { class: "no-print", onsubmit: apply },
    h("p", {}, "Search only paintings"),
    h(
      "div",
      { class: "row" },
      h("label", {}, h("span", {}, "from the year"), from),
      h("label", {}, h("span", {}, "to the year"), to),
    ),
    labels,
    h(
      "div",
      { class: "row" },
      h("label", { class: "grow" }, h("span", {}, "and for which"), where),
      h("button", {}, "Apply"),
    ),
    h(
      "p",
      { class: "quiet", id: "filter-help" },
      "An expression over the columns of the index; empty for all. Paintings without a year count only while no year is given.",
    ),
  );
}

const labelOf = ({ name, values }, chosen) =>
  h(
    "label",
    {},
    h("span", {}, name),
    h(
      "select",
      {},
      h("option", { value: "" }, "any"),
      values.map(({ value, where, paintings }) =>
        h("option", { value: where, selected: chosen.includes(where) }, `${value} (${paintings.toLocaleString("en")})`),
      ),
    ),
  );

// What the index is asked for, of the years, the kinds and the expression.
function among(parameters) {
  const [from, to, where] = ["from", "to", "where"].map((name) => parameters.get(name) || "");
  const parts = [
    ...parameters.getAll("only").map((each) => `(${each})`),
    /^\d+$/.test(from) && `year >= ${from}`,
    /^\d+$/.test(to) && `year <= ${to}`,
    where && `(${where})`,
  ].filter(Boolean);
  return parts.length === 1 && where ? where : parts.join(" and ");
}

function told(found, choice) {
  const { headline, notes, details } = found.summary;
  const likely = found.artists.filter(asShown),
    shown = new Set(likely.flatMap((each) => each.paintings.map((near) => near.painting.id)));
  const others = found.paintings.filter((near) => !shown.has(near.painting.id));
  return [
    found.one_picture.length > 0 &&
      h("section", { class: "sheet", "aria-label": "The same picture" }, samePicture(found.one_picture)),
    h(
      "section",
      { class: "sheet", "aria-label": "Artists" },
      h("h2", { id: "answer" }, headline),
      notes.map((note) => h("p", { class: "caution" }, note)),
      ranked(likely, found.unknown, (each) =>
        bar(
          [artistLink(each.artist), h("span", { class: "quiet" }, ` ${count(each.works, "work")} here`)],
          each.probability,
          witnesses(each.paintings),
        ),
      ),
      likely.length < found.artists.length &&
        h(
          "p",
          { class: "quiet" },
          `The next ${count(found.artists.length - likely.length, "artist")} have less than 1% each.`,
        ),
      h(
        "details",
        {},
        h("summary", {}, "What this assumes"),
        details.map((each) => h("p", {}, each)),
        found.approximate && h("p", {}, "By an approximate index: one of the nearest may have been missed."),
      ),
    ),
    others.length > 0 &&
      h(
        "section",
        { class: "sheet" },
        h("h2", {}, "Also near"),
        h("p", { class: "quiet" }, "By any artist, with their distances."),
        evidence(others.map((near) => [near.painting, near.distance.toFixed(3)])),
      ),
    choice.id &&
      h(
        "p",
        { class: "no-print" },
        h("a", { href: link("compare", { a: choice.id }) }, "Compare it with another painting"),
      ),
    keep(found, "answer.json"),
  ];
}
