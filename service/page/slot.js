// A place for a painting: dropped, pasted, chosen from the disk, or found in the index.

import { get } from "./api.js";
import { count, h, link, within } from "./dom.js";
import { give, givenAs } from "./own.js";
import { blank, elsewhere, named, ownStar, picture, shownOnce, star } from "./paintings.js";
import { isOnShortlist } from "./shortlist.js";

// What stands in a link: `id`, or `file` for a picture that only this page has.
export function chosen(parameters, name) {
  const id = parameters.get(name);
  if (id) return { id };
  const file = parameters.get(`${name}-file`);
  return file ? { file: givenAs(file), name: file } : null;
}

export function asParameters(name, choice) {
  if (!choice) return {};
  return choice.id ? { [name]: choice.id } : { [`${name}-file`]: choice.name };
}

export const isThere = (choice) => Boolean(choice && (choice.id || choice.file));
export const asField = (choice) => choice.id || choice.file;

// choose(choice) is called when another painting is put here, and with null when it is taken away.
export function slot(title, choice, choose) {
  const take = (list) => {
    const file = [...(list || [])].find((each) => each.type.startsWith("image/"));
    if (!file) return;
    choose({ file, name: give(file, (name) => isOnShortlist({ file: name })) });
  };
  const place = h(
    "section",
    {
      class: `slot${isThere(choice) ? " full" : ""}`,
      "aria-label": title,
      ondragover: (event) => {
        event.preventDefault();
        place.classList.add("over");
      },
      ondragleave: () => place.classList.remove("over"),
      ondrop: (event) => {
        event.preventDefault();
        place.classList.remove("over");
        take(event.dataTransfer.files);
      },
    },
    h(
      "div",
      { class: "top" },
      h("h2", {}, title),
      isThere(choice) &&
        h("button", { type: "button", class: "plain no-print", onclick: () => choose(null) }, "Another one"),
    ),
  );
  place.take = take;
  if (isThere(choice)) {
    place.append(
      h("div", { class: "frame" }, h("div", { class: "fit" }, shown(choice, place))),
      h("p", { class: "quiet caption" }, !choice.id && [choice.name, " ", ownStar(choice.name)]),
    );
  } else {
    if (choice)
      place.append(
        h(
          "p",
          { role: "status" },
          `“${choice.name}” was a picture of yours, which a link cannot carry: give it again.`,
        ),
      );
    place.append(
      h("p", {}, "Drop or paste a picture here,"),
      h(
        "div",
        { class: "row" },
        h(
          "label",
          { class: "button file" },
          "Choose a file",
          h("input", {
            type: "file",
            accept: "image/*",
            "aria-label": `${title}: choose a file`,
            onchange: (event) => take(event.target.files),
          }),
        ),
      ),
      finder(title, choose),
    );
  }
  return place;
}

// The picture itself; place.hasImage tells whether its parts can be compared.
function shown(choice, place) {
  place.hasImage = true;
  if (choice.file) {
    const image = h("img", {
      alt: choice.name,
      onerror: () => image.replaceWith(blank(`${choice.name} (your browser cannot show it)`)),
    });
    return shownOnce(image, choice.file);
  }
  const holder = h("div", {}, blank(choice.id));
  place.ready = get(`paintings/${encodeURIComponent(choice.id)}`).then(
    (facts) => {
      place.hasImage = facts.has_image;
      holder.replaceWith(facts.has_image ? picture(facts.painting, "images") : blank("no image in this index", "none"));
      within(
        place.querySelector(".caption"),
        h("a", { href: link("painting", { id: choice.id }) }, named(facts.painting)),
        " ",
        star(facts.painting),
        facts.painting.url && [" ", elsewhere(facts.painting)],
      );
    },
    () => {
      place.hasImage = false;
    },
  ); // the answer will say what is wrong
  return holder;
}

function finder(title, choose) {
  const results = h("ul", { class: "found" });
  const status = h("p", { class: "quiet", role: "status" });
  const words = h("input", {
    type: "search",
    "aria-label": `${title}: find it in the index`,
    placeholder: "artist, title or id",
  });
  const find = async (event) => {
    event.preventDefault();
    try {
      const found = await get(`paintings?per_page=20&q=${encodeURIComponent(words.value)}`);
      status.textContent = found.total ? count(found.total, "painting") : "No painting has these words.";
      within(
        results,
        ...found.paintings.map((painting) =>
          h(
            "li",
            {},
            h(
              "button",
              { type: "button", onclick: () => choose({ id: painting.id }) },
              painting.path ? picture(painting) : null,
              named(painting),
            ),
          ),
        ),
      );
    } catch (error) {
      status.textContent = error.message;
    }
  };
  return h(
    "form",
    { onsubmit: find, role: "search", "aria-label": title },
    h("p", {}, "or find one in the index:"),
    h("div", { class: "row" }, h("div", { class: "grow" }, words), h("button", {}, "Find")),
    status,
    results,
  );
}
