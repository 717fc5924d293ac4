// Report: the shortlist on paper, each painting with who might have painted it, what was decided, and a note. All of it
// stands in the link, so that a colleague sees the same, but for pictures of one's own: those stay in this browser.

import { all, get, post } from "./api.js";
import { bar, count, csv, h, link, problem, ranked, save, waiting, within } from "./dom.js";
import { artistLink, labelled, named, picture, samePicture, shownOnce, witnesses } from "./paintings.js";
import { keepShortlist, shortlist, shortlisted } from "./shortlist.js";

const AT_ONCE = 2;
const ARTISTS = 3;
const WITNESSES = 3;

export function report(parameters, signal, go) {
  const { entries, isOwn } = asked(parameters),
    inIndex = () => entries.filter((each) => each.id),
    left = entries.length - inIndex().length;
  const title = h("input", { value: parameters.get("title") || "", placeholder: "Report", onchange: () => changed() });
  const heading = h("h1", {}, title.value || "Report"),
    address = h("a", {}, "Link to this report");
  const linkOf = () =>
    link("report", {
      title: title.value.trim(),
      id: inIndex().map((each) => each.id),
      ...Object.fromEntries(inIndex().map((each, number) => [`note-${number}`, each.note])),
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
      csv([["id", "file", "note"], ...entries.map(({ id, file, note }) => [id, file, note])]),
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
      left > 0 && leftOut(left),
      !isOwn && byLink(entries, go),
      sections.map((each) => each.place),
    ],
  };
}

function leftOut(pictures) {
  const [stay, them] = pictures === 1 ? ["stays", "it"] : ["stay", "them"];
  return h(
    "p",
    { class: "quiet no-print" },
    `${count(pictures, "picture")} of your own ${stay} in this browser: the link leaves ${them} out.`,
  );
}

function byLink(entries, go) {
  const take = () => {
    keepShortlist(entries);
    go(link("report"));
  };
  return h(
    "p",
    { class: "no-print" },
    "You opened this report by a link. ",
    h("button", { type: "button", onclick: take }, "Make it my shortlist"),
  );
}

// What the link asks for, or the shortlist; the shortlist, too, where the link has all of it that a link can carry.
function asked(parameters) {
  const linked = parameters.getAll("id").map((id, number) => ({ id, note: parameters.get(`note-${number}`) || "" }));
  const own = shortlist(),
    idsOf = (some) => some.flatMap((each) => each.id || []).join("\n"),
    isOwn = !linked.length || idsOf(linked) === idsOf(own);
  if (!isOwn) return { entries: linked, isOwn };
  return { entries: own.map((each) => linked.find(({ id }) => id === each.id) || each), isOwn };
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
  return { entry, place, body };
}

// A few are asked about at once: others ask, too.
async function filled(sections, signal) {
  const decided = all("review/decisions", "decisions", signal),
    waitingFor = [...sections];
  const some = async () => {
    for (let each = waitingFor.shift(); each && !signal.aborted; each = waitingFor.shift()) {
      const { entry, body } = each;
      await (entry.file ? ofOwn(entry.file, signal) : ofIndex(entry.id, decided, signal)).then(
        (words) => {
          within(body, ...words);
          body.querySelectorAll("img").forEach((image) => {
            image.loading = "eager";
          }); // paper is not scrolled
        },
        (error) => signal.aborted || within(body, h("h2", {}, entry.id || entry.file), problem(error)),
      );
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, some));
}

async function ofOwn(name, signal) {
  const file = await shortlisted(name);
  if (!file)
    return [h("h2", {}, name), h("p", { class: "caution" }, "A picture of yours that this browser has no longer.")];
  const image = shownOnce(h("img", { alt: name }), file);
  return [
    h("h2", {}, name),
    h(
      "div",
      { class: "reported" },
      h("div", { class: "frame" }, image),
      h("p", { class: "quiet" }, "A picture given as a file."),
    ),
    ...answered(await post("nearest", { image: file }, signal)),
  ];
}

async function ofIndex(id, decided, signal) {
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
    ...answered(found),
  ];
}

// Who might have painted it, and what speaks for that.
function answered(found) {
  return [
    samePicture(found.one_picture),
    h("p", { class: "lead" }, found.summary.headline),
    found.summary.notes.map((note) => h("p", { class: "caution" }, note)),
    ranked(found.artists.slice(0, ARTISTS), found.unknown, (each) =>
      bar(artistLink(each.artist), each.probability, witnesses(each.paintings.slice(0, WITNESSES))),
    ),
  ];
}

const SAID = { accepted: "Accepted", left: "Left as it is", open: "Open" };
