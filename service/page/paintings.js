// Paintings to look at: their names, pictures and cards, and where else they can be seen.

import { blobOf, token } from "./api.js";
import { h, link } from "./dom.js";
import { isOnShortlist, toggle } from "./shortlist.js";

export const titled = ({ title, id, year }) => `${title || id}${year ? ` (${year})` : ""}`;
export const named = (painting) => `${painting.artist || "artist unknown"}, ${titled(painting)}`;

// The picture of a painting of the index, or words where there is none.
export function picture(painting, kind = "thumbnails") {
  if (!painting.path) return blank("no image in this index", "none");
  const image = h("img", {
    alt: named(painting),
    loading: kind === "thumbnails" ? "lazy" : null,
    onerror: () => image.replaceWith(blank("image not found")),
  });
  const address = `v1/${kind}/${encodeURIComponent(painting.id)}`;
  if (!token()) image.src = address;
  else {
    blobOf(address).then(
      (blob) => shownOnce(image, blob),
      () => image.replaceWith(blank("image not found")),
    );
  }
  return image;
}

// Show bytes that this page has, and let go of them once they are drawn.
export function shownOnce(image, blob) {
  image.src = URL.createObjectURL(blob);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  return image;
}

export const blank = (words, kind = "") => h("div", { class: `blank ${kind}` }, words);

// Puts a painting on the shortlist, and takes it off. words: beside the star.
export const star = (painting, words) => starOf({ id: painting.id }, named(painting), words);

// The same for a picture of one's own.
export const ownStar = (file) => starOf({ file }, file);

function starOf(entry, name, words = "") {
  const button = h("button", {
    type: "button",
    class: words ? "" : "star no-print",
    "aria-label": `Shortlist: ${name}`,
    title: "On the shortlist",
    onclick: () => shown(toggle(entry)),
  });
  const shown = (isOn) => {
    button.setAttribute("aria-pressed", isOn);
    button.textContent = `${isOn ? "★" : "☆"}${words}`;
  };
  shown(isOnShortlist(entry));
  return button;
}

// isOfOne: below the name of its artist, who is not named again.
export function card(painting, note, isOfOne = false) {
  return h(
    "li",
    { class: "starred" },
    star(painting),
    h(
      "a",
      { class: "card", href: link("painting", { id: painting.id }) },
      picture(painting),
      h(
        "div",
        { class: "words" },
        !isOfOne && h("b", {}, painting.artist || "artist unknown"),
        titled(painting),
        note && h("div", { class: "apart" }, note),
      ),
    ),
    painting.url && h("div", { class: "words" }, elsewhere(painting)),
  );
}

// Where people can look at a painting; nothing where the index has no address on the web.
export function elsewhere(painting, words) {
  if (!painting.url || !/^https?:\/\//i.test(painting.url)) return words ?? null;
  return h(
    "a",
    { href: painting.url, target: "_blank", rel: "noopener noreferrer" },
    words ?? `at ${painting.url.split("/")[2]}`,
  );
}

// Paintings with a note each, [[painting, note], ...]: as pictures, or as a list of links where the index has no
// pictures. isOfOne: below the name of the artist of all of them.
export function evidence(found, { isSmall, isOfOne } = {}) {
  if (found.some(([painting]) => painting.path))
    return h(
      "ul",
      { class: `grid ${isSmall ? "small" : ""}` },
      found.map(([painting, note]) => card(painting, note, isOfOne)),
    );
  return h(
    "ul",
    { class: "listed" },
    found.map(([painting, note]) =>
      h(
        "li",
        {},
        note && h("span", { class: "note" }, note),
        h(
          "span",
          {},
          star(painting),
          " ",
          h("a", { href: link("painting", { id: painting.id }) }, isOfOne ? titled(painting) : named(painting)),
          painting.url && [" · ", elsewhere(painting)],
        ),
      ),
    ),
  );
}

// Works of one artist that speak for the artist: [{ painting, distance }, ...].
export const witnesses = (paintings) =>
  evidence(
    paintings.map((near) => [near.painting, near.distance.toFixed(3)]),
    { isSmall: true, isOfOne: true },
  );

// What of the index shows the picture that was asked about.
export const samePicture = (twins) =>
  twins.map(({ painting, how }) =>
    h(
      "p",
      { class: "lead" },
      "This and ",
      h("a", { href: link("painting", { id: painting.id }) }, named(painting)),
      ` ${how.says}.`,
    ),
  );

// All that the index says of a painting; its record where it is more than the artist's name.
export function labelled({ painting, labels }) {
  const { attribution, url, ...others } = labels,
    record = attribution === painting.artist ? null : attribution;
  const rows = {
    artist: painting.artist && artistLink(painting.artist),
    "as recorded": record,
    year: painting.year,
    ...others,
    id: painting.id,
    "to look at": elsewhere(painting),
  };
  return h(
    "dl",
    {},
    Object.entries(rows)
      .filter(([, value]) => value != null)
      .map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]),
  );
}

export const artistLink = (name) => h("a", { href: link("artist", { name }) }, name);
