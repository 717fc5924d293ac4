// Collection: the paintings and artists of the index, to be looked through.

import { get } from "./api.js";
import { artistLink, blank, card, count, elsewhere, h, link, named, picture, problem, waiting, within } from "./dom.js";

const PER_PAGE = 48;

export function collection(parameters, signal, go) {
  const q = parameters.get("q") || "", page = Number(parameters.get("page")) || 1;
  const words = h("input", { type: "search", value: q, placeholder: "artist, title or id" });
  const paintings = h("section", { "aria-live": "polite", "aria-label": "Paintings" }, waiting("Looking …"));
  const artists = h("section", { "aria-label": "Artists" });
  listed(paintings, `paintings?q=${encodeURIComponent(q)}`, page, signal, (other) => link("collection", { q, page: other }));
  get(`artists?per_page=60&q=${encodeURIComponent(q)}`, signal).then((found) => within(artists, h("h2", {}, count(found.total, "artist")), h("ul", { class: "names" }, found.artists.map((artist) => h("li", {},
      h("a", { href: link("artist", { name: artist.id }) }, artist.artist), h("span", {}, artist.paintings)))),
    found.total > found.artists.length && h("p", { class: "quiet" }, "Those with the most paintings; search for others.")),
  (error) => signal.aborted || within(artists, problem(error)));
  return {
    title: "Collection",
    content: [h("h1", {}, "The collection"), h("form", { role: "search", "aria-label": "The collection", onsubmit: (event) => { event.preventDefault(); go(link("collection", { q: words.value })); } },
      h("div", { class: "row" }, h("label", { class: "grow" }, h("span", {}, "Words in the artist, the title or the id"), words), h("button", { class: "main" }, "Search"))),
    h("div", { class: "two" }, paintings, artists)],
  };
}

export function artist(parameters, signal) {
  const name = parameters.get("name") || "", page = Number(parameters.get("page")) || 1;
  const heading = h("h1", {}, name), works = h("section", { "aria-live": "polite", "aria-label": "Works" }, waiting("Looking …"));
  const near = h("section", { class: "sheet", "aria-label": "Nearest artists" }, h("h2", {}, "Nearest artists"));
  listed(works, `paintings?artist=${encodeURIComponent(name)}`, page, signal, (other) => link("artist", { name, page: other }));
  get(`artists/${encodeURIComponent(name)}`, signal).then((facts) => {
    heading.textContent = facts.artist.artist;
    near.append(h("p", { class: "quiet" }, "By the centroid of their works, as the model sees them; artists with a single painting are left out."),
      h("ul", { class: "names" }, facts.near.map((each) => h("li", {}, artistLink(each.artist.artist), h("span", {}, each.distance.toFixed(3))))));
    if (!facts.near.length) near.append(h("p", {}, "Nobody else has more than one painting here."));
  }, (error) => signal.aborted || within(near, problem(error)));
  return { title: name, content: [heading, h("div", { class: "two" }, works, near)] };
}

export function painting(parameters, signal) {
  const id = parameters.get("id") || "";
  const content = h("div", {}, h("h1", {}, id), waiting("Looking …"));
  get(`paintings/${encodeURIComponent(id)}`, signal).then((facts) => {
    const work = facts.painting;
    const rows = { artist: work.artist && artistLink(work.artist), year: work.year, ...facts.labels, id: work.id, "to look at": work.url && elsewhere(work) };
    within(content, h("h1", {}, work.title || work.id), h("div", { class: "pair" },
      h("div", { class: "frame" }, facts.has_image ? picture(work, "images") : blank("no image in this index")),
      h("div", {}, h("dl", {}, Object.entries(rows).filter(([, value]) => value != null).map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)])),
        h("div", { class: "row no-print" }, h("a", { class: "button", href: link("identify", { image: id }) }, "Who might have painted it?"),
          h("a", { class: "button", href: link("compare", { a: id }) }, "Compare with another"), h("a", { class: "button", href: link("map", { id }) }, "Show on the map")))));
    document.title = `${named(work)} · artidx`;
  }, (error) => signal.aborted || within(content, h("h1", {}, id), problem(error)));
  return { title: id, content: [content] };
}

function listed(place, path, page, signal, address) {
  get(`${path}&per_page=${PER_PAGE}&page=${page}`, signal).then((found) => {
    const pages = Math.max(1, Math.ceil(found.total / PER_PAGE));
    within(place, h("h2", {}, found.total ? count(found.total, "painting") : "No painting has these words"),
      h("ul", { class: "grid" }, found.paintings.map((each) => card(each))),
      pages > 1 && h("nav", { class: "row no-print", "aria-label": "Pages" }, page > 1 && h("a", { class: "button", href: address(page - 1) }, "Before"),
        h("span", {}, `page ${page} of ${pages.toLocaleString("en")}`), page < pages && h("a", { class: "button", href: address(page + 1) }, "Next")));
  }, (error) => signal.aborted || within(place, problem(error)));
}
