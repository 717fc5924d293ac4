// Report: the paintings of a shortlist on paper, each with who might have painted it, what was decided, and a note. All
// of it stands in the link, so that a colleague sees the same.

import { all, get, post } from "./api.js";
import { asShown, bar, csv, h, link, nobody, problem, save, waiting, within } from "./dom.js";
import { artistLink, evidence, labelled, named, picture } from "./paintings.js";
import { keepShortlist, shortlist } from "./shortlist.js";

const AT_ONCE = 2;
const ARTISTS = 3;
const WITNESSES = 3;

export function report(parameters, signal, go) {
  const linked = parameters.getAll("id").map((id, number) => ({ id, note: parameters.get(`note-${number}`) || "" }));
  const entries = linked.length ? linked : shortlist();
  const idsOf = (some) => some.map((each) => each.id).join("\n"),
    isOwn = idsOf(entries) === idsOf(shortlist());
  const title = h("input", { value: parameters.get("title") || "", placeholder: "Report", onchange: () => changed() });
  const heading = h("h1", {}, title.value || "Report"),
    address = h("a", {}, "Link to this report");
  const linkOf = () =>
    link("report", {
      title: title.value.trim(),
      id: entries.map((each) => each.id),
      ...Object.fromEntries(entries.map((each, number) => [`note-${number}`, each.note])),
    });
  const changed = () => {
    // the link shows what is seen
    heading.textContent = title.value.trim() || "Report";
    address.href = linkOf();
    history.replaceState(null, "", linkOf());
    if (isOwn) keepShortlist(entries);
  };
  const moved = (change) => {
    change();
    if (isOwn) keepShortlist(entries);
    go(entries.length ? linkOf() : link("report"));
  };
  const sections = entries.map((entry, number) => section(entry, number, entries, { changed, moved }));
  if (entries.length) {
    changed();
    filled(sections, signal);
  }
  const row = h(
    "div",
    { class: "row no-print" },
    h("label", { class: "grow" }, h("span", {}, "Title"), title),
    h("button", { type: "button", class: "main", onclick: () => print() }, "Print"),
    address,
    save(
      csv([["id", "note"], ...entries.map(({ id, note }) => [id, note])]),
      "text/csv",
      "shortlist.csv",
      "Save as CSV",
    ),
  );
  return {
    title: "Report",
    content: [
      heading,
      !entries.length &&
        h("p", {}, "Nothing is on the shortlist yet: the star beside a painting puts it there, on every view."),
      entries.length > 0 && row,
      !isOwn &&
        h(
          "p",
          { class: "no-print" },
          "You opened this report by a link. ",
          h(
            "button",
            {
              type: "button",
              onclick: () => {
                keepShortlist(entries);
                go(link("report"));
              },
            },
            "Make it my shortlist",
          ),
        ),
      sections.map((each) => each.place),
    ],
  };
}

// The part of one painting; on: what to do when its note has changed, and when another order is wanted.
function section(entry, number, entries, on) {
  const body = h("div", {}, waiting("Asking the index …")),
    paper = h("p", { class: "on-paper" }, entry.note);
  const note = h(
    "textarea",
    {
      rows: 2,
      maxlength: 1000,
      onchange: () => {
        entry.note = note.value;
        paper.textContent = entry.note;
        on.changed();
      },
    },
    entry.note,
  );
  const swap = (other) =>
    on.moved(() => {
      [entries[number], entries[other]] = [entries[other], entries[number]];
    });
  const button = (words, act, isOff) => h("button", { type: "button", disabled: isOff, onclick: act }, words);
  const place = h(
    "section",
    { class: "sheet entry", "aria-label": `${number + 1}` },
    body,
    paper,
    h("label", { class: "no-print" }, h("span", { class: "quiet" }, "Note"), note),
    h(
      "div",
      { class: "row no-print" },
      button("Up", () => swap(number - 1), !number),
      button("Down", () => swap(number + 1), number === entries.length - 1),
      button("Take off", () => on.moved(() => entries.splice(number, 1))),
    ),
  );
  return { id: entry.id, place, body };
}

// A few are asked about at once: others ask, too.
async function filled(sections, signal) {
  const decided = all("review/decisions", "decisions", signal),
    waitingFor = [...sections];
  const some = async () => {
    for (let each = waitingFor.shift(); each && !signal.aborted; each = waitingFor.shift()) {
      const { id, body } = each;
      await told(id, decided, signal).then(
        (words) => {
          within(body, ...words);
          body.querySelectorAll("img").forEach((image) => {
            image.loading = "eager";
          }); // paper is not scrolled
        },
        (error) => signal.aborted || within(body, h("h2", {}, id), problem(error)),
      );
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

async function told(id, decided, signal) {
  const [facts, found] = await Promise.all([
    get(`paintings/${encodeURIComponent(id)}`, signal),
    post("nearest", { image: id }, signal),
  ]);
  const work = facts.painting,
    image = facts.has_image && picture(work, "images");
  const decisions = (await decided).filter(
    (each) => each.objects.includes(work.object || id) || each.objects.includes(id),
  );
  return [
    h("h2", {}, h("a", { href: link("painting", { id }) }, named(work))),
    h(
      "div",
      { class: "reported" },
      image && h("div", { class: "frame" }, image),
      h(
        "div",
        {},
        labelled(facts),
        decisions.map((each) =>
          h(
            "p",
            {},
            `${SAID[each.state]}${each.artist ? `: ${each.artist}` : ""} (${each.kind}), by ${each.by}, ${each.at.slice(0, 10)}.`,
            each.note && ` ${each.note}`,
          ),
        ),
      ),
    ),
    h("p", { class: "lead" }, found.summary.headline),
    found.summary.notes.map((note) => h("p", { class: "caution" }, note)),
    h(
      "ul",
      { class: "bars" },
      found.artists
        .filter(asShown)
        .slice(0, ARTISTS)
        .map((each) =>
          bar(
            artistLink(each.artist),
            each.probability,
            evidence(
              each.paintings.slice(0, WITNESSES).map((near) => [near.painting, near.distance.toFixed(3)]),
              "small",
            ),
          ),
        ),
      nobody(found.unknown),
    ),
  ];
}

const SAID = { accepted: "Accepted", left: "Left as it is", open: "Open" };
