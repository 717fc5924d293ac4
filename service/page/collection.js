// Collection: a wall of the index's paintings with its facets; the page of an artist, and of a painting.

import { all, get, post } from "./api.js";
import { count, h, link, problem, waiting, within } from "./dom.js";
import { artistLink, card, evidence, labelled, named, picture, star } from "./paintings.js";
import { PER_PAGE, wall } from "./wall.js";

const ARTISTS = 12;
const MOST_WORKS = 1000;
const OF_EACH = 4;
const NEAREST = 12;
const FEW = 8; // values of a facet before "all of them"

export function collection(parameters, signal, go) {
  const q = parameters.get("q") || "",
    chosen = parameters.getAll("where");
  const where = chosen.map((each) => `(${each})`).join(" and ");
  const asked = new URLSearchParams({ q, ...(where && { where }) }).toString();
  const words = h("input", { type: "search", value: q, placeholder: "artist, title or id" });
  const paintings = h("section", { "aria-live": "polite", "aria-label": "Paintings" }, waiting("Looking …"));
  const artists = h("section", { "aria-label": "Artists" }),
    facets = h("aside", { "aria-label": "Only some" });
  const isWide = matchMedia("(min-width: 46rem)").matches;
  const failed = (place) => (error) => signal.aborted || within(place, problem(error));
  get(`paintings?${asked}&per_page=${PER_PAGE}`, signal).then(
    (found) =>
      within(
        paintings,
        h("h2", {}, found.total ? count(found.total, "painting") : "No painting has these words"),
        found.total > 0 && wall(`paintings?${asked}`, found, signal),
      ),
    failed(paintings),
  );
  if (q) {
    get(`artists?per_page=${ARTISTS}&q=${encodeURIComponent(q)}`, signal).then(
      (found) =>
        within(
          artists,
          found.total > 0 && [
            h("h2", {}, count(found.total, "artist")),
            h(
              "ul",
              { class: "chips" },
              found.artists.map((artist) =>
                h(
                  "li",
                  {},
                  h("a", { href: link("artist", { name: artist.id }) }, artist.artist),
                  ` ${artist.paintings}`,
                ),
              ),
            ),
            found.total > ARTISTS && h("p", { class: "quiet" }, "Those with the most paintings."),
          ],
        ),
      failed(artists),
    );
  }
  const narrowed = (others) => link("collection", { q, where: others });
  get(`facets?${asked}`, signal).then(
    (found) =>
      within(
        facets,
        chosen.length > 0 &&
          h(
            "ul",
            { class: "chips" },
            chosen.map((each) =>
              h(
                "li",
                {},
                h(
                  "a",
                  { href: narrowed(chosen.filter((other) => other !== each)), "aria-label": `without ${each}` },
                  `${each} ×`,
                ),
              ),
            ),
          ),
        h(
          "details",
          { open: isWide },
          h("summary", {}, "Only some"),
          found.facets.map((facet) => facetOf(facet, (value) => narrowed([...chosen, value.where]), chosen)),
        ),
      ),
    failed(facets),
  );
  return {
    title: "Collection",
    content: [
      h("h1", {}, "The collection"),
      h(
        "form",
        {
          role: "search",
          "aria-label": "The collection",
          onsubmit: (event) => {
            event.preventDefault();
            go(link("collection", { q: words.value, where: chosen }));
          },
        },
        h(
          "div",
          { class: "row" },
          h("label", { class: "grow" }, h("span", {}, "Words in the artist, the title or the id"), words),
          h("button", { class: "main" }, "Search"),
        ),
      ),
      artists,
      h("div", { class: "faceted" }, facets, paintings),
    ],
  };
}

function facetOf(facet, address, chosen) {
  const values = facet.values.filter((each) => !chosen.includes(each.where));
  const item = (value) =>
    h("li", {}, h("a", { href: address(value) }, value.value), h("span", {}, value.paintings.toLocaleString("en")));
  const rest = values.slice(FEW);
  return (
    values.length > 1 &&
    h(
      "section",
      { class: "facet" },
      h("h2", {}, facet.name),
      h("ul", { class: "names" }, values.slice(0, FEW).map(item)),
      rest.length > 0 &&
        h(
          "details",
          {},
          h("summary", {}, `${rest.length} more`),
          h("ul", { class: "names" }, rest.map(item)),
          facet.more > 0 &&
            h("p", { class: "quiet" }, `and ${facet.more.toLocaleString("en")} with fewer paintings: search for them.`),
        ),
    )
  );
}

export function artist(parameters, signal) {
  const name = parameters.get("name") || "",
    address = `paintings?artist=${encodeURIComponent(name)}`;
  const heading = h("h1", {}, name),
    works = h("section", { "aria-live": "polite", "aria-label": "Works" }, waiting("Looking …"));
  const near = h("section", { class: "sheet", "aria-label": "Nearest artists" }, h("h2", {}, "Nearest artists"));
  all(address, "paintings", signal, MOST_WORKS).then(
    (found) =>
      within(
        works,
        h("h2", {}, count(found.total, "painting")),
        found.total > found.length && h("p", { class: "quiet" }, `The first ${found.length} are shown.`),
        overTime(found),
      ),
    (error) => signal.aborted || within(works, problem(error)),
  );
  get(`artists/${encodeURIComponent(name)}`, signal).then(
    (facts) => {
      heading.textContent = facts.artist.artist;
      near.append(
        h(
          "p",
          { class: "quiet" },
          "By the centroid of their works, as the model sees them; artists with a single painting are left out.",
        ),
        h(
          "ul",
          { class: "bars" },
          facts.near.map((each) => {
            const some = h("div", { class: "strip" });
            get(`paintings?artist=${encodeURIComponent(each.artist.id)}&per_page=${OF_EACH}`, signal).then(
              (found) =>
                within(
                  some,
                  found.paintings
                    .filter((painting) => painting.path)
                    .map((painting) =>
                      h(
                        "a",
                        { href: link("painting", { id: painting.id }), title: named(painting) },
                        picture(painting),
                      ),
                    ),
                ),
              () => {},
            );
            return h(
              "li",
              {},
              h(
                "div",
                { class: "top" },
                artistLink(each.artist.artist),
                h(
                  "span",
                  { class: "quiet" },
                  `${count(each.artist.paintings, "work")}, distance ${each.distance.toFixed(3)}`,
                ),
              ),
              some,
            );
          }),
        ),
      );
      if (!facts.near.length) near.append(h("p", {}, "Nobody else has more than one painting here."));
    },
    (error) => signal.aborted || within(near, problem(error)),
  );
  return { title: name, content: [heading, works, near] };
}

// Works under their decades, those without a year last.
function overTime(paintings) {
  const decades = new Map();
  for (const each of [...paintings].sort((a, b) => (a.year ?? Infinity) - (b.year ?? Infinity))) {
    const decade = each.year == null ? "no year" : `${Math.floor(each.year / 10) * 10}s`;
    if (!decades.has(decade)) decades.set(decade, []);
    decades.get(decade).push(each);
  }
  return [...decades].map(([decade, works]) =>
    h(
      "div",
      { class: "decade" },
      h("h3", {}, decade),
      evidence(
        works.map((each) => [each]),
        { isSmall: true, isOfOne: true },
      ),
    ),
  );
}

export function painting(parameters, signal) {
  const id = parameters.get("id") || "";
  const content = h("div", {}, h("h1", {}, id), waiting("Looking …")),
    near = h("section", { class: "sheet", "aria-label": "Nearest" });
  get(`paintings/${encodeURIComponent(id)}`, signal).then(
    (facts) => {
      const work = facts.painting;
      within(
        content,
        h("h1", {}, work.title || work.id),
        h(
          "div",
          { class: facts.has_image && "pair" },
          facts.has_image && h("div", { class: "frame" }, picture(work, "images")),
          h(
            "div",
            {},
            labelled(facts),
            h(
              "div",
              { class: "row no-print" },
              star(work, " Shortlist"),
              h("a", { class: "button", href: link("identify", { image: id }) }, "Who might have painted it?"),
              h("a", { class: "button", href: link("compare", { a: id }) }, "Compare with another"),
              h("a", { class: "button", href: link("map", { id }) }, "Show on the map"),
            ),
          ),
        ),
        near,
      );
      document.title = `${named(work)} · artidx`;
      within(near, h("h2", {}, "Nearest"), waiting("Asking the index …"));
      post("nearest", { image: id, k: NEAREST }, signal).then(
        (found) =>
          within(
            near,
            h("h2", {}, "Nearest"),
            h("p", { class: "quiet" }, "By any artist, with their distances."),
            evidence(
              found.paintings.map((each) => [each.painting, each.distance.toFixed(3)]),
              { isSmall: true },
            ),
          ),
        (error) => signal.aborted || within(near, h("h2", {}, "Nearest"), problem(error)),
      );
    },
    (error) => signal.aborted || within(content, h("h1", {}, id), problem(error)),
  );
  return { title: id, content: [content] };
}
