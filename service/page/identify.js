// Identify: who might have painted this?

import { get, post } from "./api.js";
import { artistLink, bar, card, count, h, keep, link, percent, problem, waiting, within } from "./dom.js";
import { asField, asParameters, chosen, isThere, slot } from "./slot.js";

const SPEAKING = 0.01; // probability from which on an artist's paintings are shown

export function identify(parameters, signal, go) {
  const choice = chosen(parameters, "image"), where = parameters.get("where") || "";
  const put = (other) => go(link("identify", { ...asParameters("image", other), where }));
  const place = slot("The painting", choice, put);
  const answer = h("div", { "aria-live": "polite" });
  if (isThere(choice)) {
    answer.append(waiting("Asking the index …"));
    Promise.all([post("nearest", { image: asField(choice), where }, signal), get("index", signal)]).then(
      ([found, manifest]) => within(answer, ...told(found, manifest, choice)),
      (error) => signal.aborted || within(answer, problem(error)));
  } else {
    answer.append(h("p", { class: "quiet" }, "The artists who might have painted it appear here."));
  }
  const filter = h("input", { value: where, placeholder: "year < 1700 and style == 'Baroque'", "aria-describedby": "filter-help" });
  return {
    title: "Identify", paste: place.take,
    content: [h("h1", {}, "Who might have painted this?"), h("div", { class: "two turned" }, h("div", {}, place,
      h("form", { class: "no-print", onsubmit: (event) => { event.preventDefault();
        go(link("identify", { ...asParameters("image", choice), where: filter.value })); } },
      h("p", {}), h("div", { class: "row" }, h("label", { class: "grow" }, h("span", {}, "Only among paintings for which"), filter), h("button", {}, "Apply")),
      h("p", { class: "quiet", id: "filter-help" }, "An expression over the columns of the index; empty for all."))), answer)],
  };
}

function told(found, manifest, choice) {
  const artists = found.artists.map((each) => ({ probability: each.probability, row: bar(artistLink(each.artist), each.probability,
    each.probability >= SPEAKING && h("ul", { class: "grid small" }, each.paintings.map((near) => card(near.painting, near.distance.toFixed(3))))) }));
  const nobody = { probability: found.unknown, row: bar(h("strong", {}, "none of the artists here"), found.unknown) };
  nobody.row.classList.add("nobody");
  const ranked = [...artists, nobody].sort((one, other) => other.probability - one.probability);
  return [
    h("section", { class: "sheet", "aria-label": "Artists" }, h("h2", { id: "answer" }, headline(found)),
      h("p", {}, `Asked among ${count(found.searched, "painting")}${found.approximate ? ", by an approximate index" : ""}. That it is by none of the artists here assumes that half of the paintings you ask about are by others.`),
      h("ul", { class: "bars" }, ranked.map((each) => each.row)),
      h("p", { class: "quiet" }, `Measured on ${manifest.calibration.artists.measured_on}.`)),
    h("section", { class: "sheet" }, h("h2", {}, "Nearest paintings"), h("p", { class: "quiet" }, "Whoever painted them; their distances below."),
      h("ul", { class: "grid" }, found.paintings.map((near) => card(near.painting, near.distance.toFixed(3))))),
    choice.id && h("p", { class: "no-print" }, h("a", { href: link("compare", { a: choice.id }) }, "Compare it with another painting")),
    keep(found, "answer.json"),
  ].filter(Boolean);
}

function headline(found) {
  const [first] = found.artists;
  if (!first || found.unknown >= 0.5) return `Probably none of the artists here: ${percent(found.unknown)}.`;
  if (first.probability >= 0.5) return `Probably ${first.artist}: ${percent(first.probability)}.`;
  return `Nobody stands out; ${first.artist} is the likeliest with ${percent(first.probability)}.`;
}
