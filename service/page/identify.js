// Identify: who might have painted this?

import { get, post } from "./api.js";
import { asShown, bar, count, h, keep, link, nobody, problem, waiting, within } from "./dom.js";
import { artistLink, evidence, named } from "./paintings.js";
import { asField, asParameters, chosen, isThere, slot } from "./slot.js";

export function identify(parameters, signal, go) {
  const choice = chosen(parameters, "image"),
    where = parameters.get("where") || "";
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
  const filter = h("input", {
    value: where,
    placeholder: "year < 1700 and style == 'Baroque'",
    "aria-describedby": "filter-help",
  });
  const years = ["from", "to"].map((end) =>
    h("input", { type: "number", value: parameters.get(end) || "", min: 1, max: 2100, class: "year" }),
  );
  const kinds = h("div", { class: "row" });
  const applied = (event) => {
    event.preventDefault();
    go(
      link("identify", {
        ...asParameters("image", choice),
        from: years[0].value,
        to: years[1].value,
        where: filter.value,
        only: [...kinds.querySelectorAll("select")].map((each) => each.value),
      }),
    );
  };
  get("facets", signal).then(
    (found) =>
      within(
        kinds,
        found.facets
          .filter((facet) => !["artist", "century"].includes(facet.name))
          .map((facet) =>
            h(
              "label",
              {},
              h("span", {}, facet.name),
              h(
                "select",
                {},
                h("option", { value: "" }, "any"),
                facet.values.map((each) =>
                  h(
                    "option",
                    { value: each.where, selected: parameters.getAll("only").includes(each.where) },
                    `${each.value} (${each.paintings.toLocaleString("en")})`,
                  ),
                ),
              ),
            ),
          ),
      ),
    () => {},
  );
  return {
    title: "Identify",
    paste: place.take,
    content: [
      h("h1", {}, "Who might have painted this?"),
      h(
        "div",
        { class: "two turned" },
        h(
          "div",
          {},
          place,
          h(
            "form",
            { class: "no-print", onsubmit: applied },
            h("p", {}, "Look only among paintings"),
            h(
              "div",
              { class: "row" },
              h("label", {}, h("span", {}, "from the year"), years[0]),
              h("label", {}, h("span", {}, "to the year"), years[1]),
            ),
            kinds,
            h(
              "div",
              { class: "row" },
              h("label", { class: "grow" }, h("span", {}, "and for which"), filter),
              h("button", {}, "Apply"),
            ),
            h(
              "p",
              { class: "quiet", id: "filter-help" },
              "An expression over the columns of the index; empty for all. Paintings without a year count only while no year is given.",
            ),
          ),
        ),
        answer,
      ),
    ],
  };
}

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
    shown = new Set();
  const artists = likely.map((each) => {
    each.paintings.forEach((near) => shown.add(near.painting.id));
    return {
      probability: each.probability,
      row: bar(
        [artistLink(each.artist), h("span", { class: "quiet" }, ` ${count(each.works, "work")} here`)],
        each.probability,
        evidence(
          each.paintings.map((near) => [near.painting, near.distance.toFixed(3)]),
          "small",
        ),
      ),
    };
  });
  const ranked = [...artists, { probability: found.unknown, row: nobody(found.unknown) }].sort(
    (one, other) => other.probability - one.probability,
  );
  const others = found.paintings.filter((near) => !shown.has(near.painting.id));
  return [
    found.one_picture.map((twin) =>
      h(
        "section",
        { class: "sheet", "aria-label": "The same picture" },
        h(
          "p",
          { class: "lead" },
          "This and ",
          h("a", { href: link("painting", { id: twin.painting.id }) }, named(twin.painting)),
          ` ${twin.how.says}.`,
        ),
      ),
    ),
    h(
      "section",
      { class: "sheet", "aria-label": "Artists" },
      h("h2", { id: "answer" }, headline),
      notes.map((note) => h("p", { class: "caution" }, note)),
      h(
        "ul",
        { class: "bars" },
        ranked.map((each) => each.row),
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
