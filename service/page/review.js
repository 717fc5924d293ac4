// Review: what a curator should look at, as a work list. The service keeps what is decided, with who decided and when;
// an artist who is accepted becomes a label of the index at once.

import { all, get, put, token, useToken } from "./api.js";
import { asShown, bar, csv, h, link, nobody, percent, problem, save, waiting, within } from "./dom.js";
import { card, elsewhere, named, witnesses } from "./paintings.js";

const KINDS = { doubtful: "Doubtful", duplicate: "Duplicates", unattributed: "Without an artist" };
const STATES = { accepted: "✓ accepted", left: "– left as it is" };
const PER_PAGE = 100;
const LATER_MS = 3000;
const WHO = "artidx-who"; // the name of who decides, as it was last given in this browser

const isOpen = (finding) => !STATES[finding.decision?.state];
const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;

export function review(parameters, signal) {
  const kind = Object.hasOwn(KINDS, parameters.get("kind") || "") ? parameters.get("kind") : "doubtful";
  const asked = { kind, all: parameters.get("all") || "", finding: parameters.get("finding") || "" };
  const content = h("div", {}, waiting("Loading the findings …"));
  opened(content, asked, signal).catch(
    (error) =>
      signal.aborted || within(content, error.status === 409 ? h("p", {}, sentence(error.message)) : problem(error)),
  );
  return {
    title: "Review",
    content: [
      h("h1", {}, "What to look at"),
      h(
        "nav",
        { class: "row no-print", "aria-label": "Kinds of findings" },
        Object.entries(KINDS).map(([name, words]) =>
          h(
            "a",
            {
              class: "button",
              href: link("review", { kind: name, all: asked.all }),
              "aria-current": name === kind ? "page" : null,
            },
            words,
          ),
        ),
      ),
      content,
    ],
  };
}

async function opened(content, asked, signal) {
  const found = await onceFound(pathOf(asked, 1), signal, (detail) => within(content, waiting(`${detail} …`)));
  const wanted =
    asked.finding &&
    !found.findings.some((each) => each.key === asked.finding) &&
    (await get(`review/findings/${encodeURIComponent(asked.finding)}`, signal).catch(() => null)); // it may be gone by now
  if (wanted && wanted.kind === asked.kind) found.findings.unshift(wanted);
  new WorkList(content, found, asked, signal).show();
}

const pathOf = ({ kind, all }, page) => `review?kind=${kind}&undecided=${!all}&per_page=${PER_PAGE}&page=${page}`;

// The findings, however long it takes to look for them; meanwhile(detail) is called while they are looked for.
async function onceFound(path, signal, meanwhile) {
  for (;;) {
    const found = await get(path, signal);
    if (found.findings) return found;
    meanwhile(found.detail);
    await new Promise((later) => {
      setTimeout(later, LATER_MS);
    });
    signal.throwIfAborted();
  }
}

class WorkList {
  constructor(place, found, asked, signal) {
    Object.assign(this, { place, asked, signal, choices: [] });
    this.take(found);
    this.at = Math.max(
      0,
      this.findings.findIndex((each) => each.key === asked.finding),
    );
    this.status = h("div", { "aria-live": "assertive" });
    this.who = h("input", {
      value: localStorage.getItem(WHO) || "",
      autocomplete: "name",
      onchange: () => localStorage.setItem(WHO, this.who.value.trim()),
    });
    document.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  take(found) {
    Object.assign(this, { found, findings: found.findings, at: 0, done: [] });
    this.whole = found.total + this.closed; // how many there are, with those that are decided here
  }

  get finding() {
    return this.findings[this.at];
  }

  say(...words) {
    within(this.status, ...words);
  }

  key(event) {
    const isWriting = event.target.matches("select, textarea, input:not([type=radio])");
    if (event.ctrlKey || event.metaKey || event.altKey || isWriting || !this.finding) return;
    const does =
      {
        a: () => this.accept(),
        r: () => this.decide("left"),
        n: () => this.note.focus(),
        o: () => this.other?.focus(),
        u: () => this.undo(),
        j: () => this.move(1),
        k: () => this.move(-1),
      }[event.key] ||
      this.chooses(Number(event.key)) ||
      this.walks(event);
    if (!does) return;
    event.preventDefault();
    does();
  }

  chooses(number) {
    const choice = this.choices[number - 1];
    return (
      choice &&
      (() => {
        choice.checked = true;
      })
    );
  }

  // Through the list, of which one is a stop for Tab.
  walks({ key, target }) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    return (
      step &&
      target.closest(".worklist") &&
      (() => this.move(step).then(() => this.place.querySelector(".worklist [aria-current]").focus()))
    );
  }

  async move(step) {
    if (this.at + step >= this.findings.length) await this.more();
    this.at = Math.min(Math.max(this.at + step, 0), this.findings.length - 1);
    this.show();
  }

  // To the next finding that is still open, if there is one.
  async next() {
    const open = () => this.findings.findIndex((each, number) => number > this.at && isOpen(each));
    if (open() < 0) await this.more();
    if (open() >= 0) this.at = open();
    this.show();
  }

  // What of the findings here the service no longer counts among those that are asked for.
  get closed() {
    return this.asked.all ? 0 : this.findings.filter((each) => !isOpen(each)).length;
  }

  async more() {
    if (this.findings.length >= this.whole) return;
    try {
      const page = Math.floor((this.findings.length - this.closed) / PER_PAGE) + 1;
      const some = await get(pathOf(this.asked, page), this.signal),
        known = new Set(this.findings.map((each) => each.key));
      this.whole = some.total + this.closed;
      this.findings.push(...some.findings.filter((each) => !known.has(each.key)));
    } catch (error) {
      this.say(problem(error));
    }
  }

  accept() {
    const artist = this.choices.find((each) => each.checked)?.value.trim();
    if (!artist && this.choices.length) {
      this.say(h("p", { class: "problem", role: "alert" }, "Select an artist first, or leave the record as it is."));
      return;
    }
    this.decide("accepted", artist || null); // of duplicates there is no artist to accept
  }

  async decide(state, artist = null) {
    const { finding } = this,
      before = finding.decision;
    if (!(await this.put(finding, { state, artist, note: this.note.value.trim() }))) return;
    this.done.push([finding, before]);
    this.say(
      h(
        "p",
        { class: "quiet" },
        `${named(finding.paintings[0])}: ${STATES[state].slice(2)}${artist ? `, ${artist}` : ""}.`,
      ),
    );
    await this.next();
  }

  // What was decided last, or else about the finding that is shown.
  async undo() {
    const [finding, before] = this.done.at(-1) || (isOpen(this.finding) ? [] : [this.finding, null]);
    if (!finding) {
      this.say(h("p", { class: "quiet" }, "Nothing to undo."));
      return;
    }
    if (!(await this.put(finding, before || { state: "open", artist: null, note: finding.decision.note }))) return;
    this.done.pop();
    this.at = this.findings.indexOf(finding);
    this.say(h("p", { class: "quiet" }, `${named(finding.paintings[0])}: as before.`));
    this.show();
  }

  async write(note) {
    const { finding } = this,
      { state = "open", artist = null } = finding.decision || {};
    if (await this.put(finding, { state, artist, note })) this.say(h("p", { class: "quiet" }, "The note is saved."));
  }

  // One after the other: who writes a note and then decides wants both.
  put(finding, decision) {
    this.putting = (this.putting || Promise.resolve()).then(() => this.putNow(finding, decision));
    return this.putting;
  }

  // Whether the service has it now: from a token that may write, and with who says so.
  async putNow(finding, { state, artist, note }) {
    const by = this.who.value.trim();
    if (!by) {
      this.who.focus();
      this.say(h("p", { class: "problem", role: "alert" }, "Say who you are: a decision is kept with who made it."));
      return false;
    }
    try {
      ({ decision: finding.decision } = await put(
        `review/findings/${finding.key}`,
        { state, artist, note: note || null, by },
        this.signal,
      ));
      return true;
    } catch (error) {
      this.say(problem(error), [401, 403].includes(error.status) && this.asksForToken());
      return false;
    }
  }

  asksForToken() {
    const given = h("input", { type: "password", autocomplete: "off", pattern: "[!-~]+", required: true });
    return h(
      "form",
      {
        class: "row",
        onsubmit: (event) => {
          event.preventDefault();
          useToken(given.value);
          this.say();
          this.heading.focus();
        },
      },
      h(
        "label",
        { class: "grow" },
        h("span", {}, token() ? "Another token, that may write" : "A token that may write"),
        given,
      ),
      h("button", {}, "Use it"),
    );
  }

  async lookAnew(event) {
    event.target.disabled = true;
    try {
      const path = `${pathOf(this.asked, 1)}&anew=true`;
      const found = await onceFound(path, this.signal, () =>
        this.say(waiting("The review is being made again; you can go on …")),
      );
      this.take(found);
      this.say();
      this.show();
    } catch (error) {
      if (!this.signal.aborted) this.say(problem(error));
    }
  }

  // Others decide, too, and what they decide may make this finding stale.
  async refresh(finding) {
    const now = await get(`review/findings/${finding.key}`, this.signal).catch(() => finding); // it may be gone by now
    Object.assign(finding, { stale: now.stale, decision: now.decision });
    if (this.finding === finding) within(this.stands, ...this.standing(finding));
  }

  show() {
    const { finding, asked } = this,
      focused = document.activeElement?.id;
    this.choices = [];
    if (!finding) {
      within(
        this.place,
        this.counts(),
        h("p", {}, asked.all ? "Nothing was found." : "Nothing is left to decide."),
        this.footer(),
      );
      return;
    }
    history.replaceState(null, "", link("review", { ...asked, finding: finding.key }));
    within(
      this.place,
      this.counts(),
      h(
        "div",
        { class: "faceted reviewed" },
        this.list(),
        h(
          "section",
          { class: "sheet", "aria-label": "Finding" },
          (this.stands = h("div", {}, this.standing(finding))),
          this.told(finding),
          this.controls(finding),
          this.status,
          this.footer(),
        ),
      ),
    );
    const current = this.place.querySelector(".worklist [aria-current]");
    current.closest("ol").scrollTop = current.offsetTop - 60;
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true }); // all of it was made again
    if (this.shown !== finding) this.refresh(finding);
    this.shown = finding;
  }

  counts() {
    const { found, asked } = this,
      counts = Object.entries(found.counts)
        .map(([name, number]) => `${KINDS[name].toLowerCase()} ${number.toLocaleString("en")}`)
        .join(", ");
    return h(
      "p",
      { class: "quiet" },
      `Found in generation ${found.generation}: ${counts}. `,
      h(
        "a",
        { class: "no-print", href: link("review", { kind: asked.kind, all: asked.all ? "" : "1" }) },
        asked.all ? "Only those still open" : "Include decided ones",
      ),
    );
  }

  list() {
    const missing = this.whole - this.findings.length;
    return h(
      "div",
      { class: "no-print" },
      h(
        "ol",
        { class: "worklist", "aria-label": "Findings" },
        this.findings.map((each, number) =>
          h(
            "li",
            {},
            h(
              "button",
              {
                type: "button",
                class: "plain",
                id: `finding-${each.key}`,
                "aria-current": number === this.at ? "true" : null,
                tabindex: number === this.at ? null : "-1",
                onclick: () => {
                  this.at = number;
                  this.show();
                },
              },
              each.paintings.map((painting) => painting.title || painting.id).join(" and "),
            ),
            h("span", { class: "quiet" }, STATES[each.decision?.state] || (each.stale ? "~ may be stale" : "")),
          ),
        ),
      ),
      missing > 0 && h("p", { class: "quiet" }, `and ${missing.toLocaleString("en")} more; they come at the end.`),
    );
  }

  standing({ decision, stale }) {
    return [
      stale && h("p", { class: "caution" }, sentence(stale)),
      STATES[decision?.state] &&
        h("p", { class: "lead" }, [
          STATES[decision.state],
          decision.artist && `: ${decision.artist}`,
          ` by ${decision.by}, ${new Date(decision.at).toLocaleDateString("en", { dateStyle: "medium" })}`,
        ]),
    ];
  }

  told(finding) {
    this.heading = h("h2", { tabindex: "-1" }, headingOf(finding));
    const pictures = h(
      "ul",
      { class: "grid asked" },
      finding.paintings.map((each, number) =>
        card(each, finding.records[number] && `record: ${finding.records[number]}`),
      ),
    );
    if (finding.kind === "duplicate") {
      return [
        this.heading,
        h("p", {}, `The photographs ${finding.picture?.says || finding.how}.`),
        pictures,
        h(
          "p",
          { class: "no-print" },
          h(
            "a",
            { href: link("compare", { a: finding.paintings[0].id, b: finding.paintings[1].id }) },
            "Look at both closely",
          ),
        ),
      ];
    }
    return [
      this.heading,
      finding.expected_false != null &&
        h(
          "p",
          { class: "quiet" },
          `Of this record and the more doubtful ones, ${percent(finding.expected_false)} are right after all, by the estimate.`,
        ),
      pictures,
      this.candidates(finding),
      forRecorded(finding),
      inReference(finding),
    ];
  }

  candidates(finding) {
    this.other = h("input", {
      id: "review-other",
      "aria-label": "Who else",
      onkeydown: (event) => this.leaves(event),
      oninput: () => {
        somebody.value = this.other.value;
        somebody.checked = Boolean(this.other.value.trim());
      },
    });
    const somebody = h("input", { type: "radio", name: "candidate", value: "" });
    const likely = finding.candidates.filter((each, number) => !number || asShown(each));
    const rows = likely.map((each, number) => this.candidate(each, number, !number && isNamed(finding)));
    this.choices.push(somebody);
    return h(
      "fieldset",
      {},
      h("legend", {}, "Who might have painted it"),
      h("ul", { class: "bars" }, rows, finding.unknown != null && nobody(finding.unknown)),
      h(
        "div",
        { class: "row somebody no-print" },
        h("label", {}, somebody, " ", h("kbd", {}, "o"), " Somebody else"),
        this.other,
      ),
    );
  }

  candidate(each, number, isChosen) {
    const choice = h("input", { type: "radio", name: "candidate", value: each.artist, checked: isChosen });
    this.choices.push(choice);
    return bar(
      [
        h("label", {}, choice, " ", h("kbd", {}, number + 1), ` ${each.artist}`),
        " ",
        h("a", { class: "quiet", href: link("artist", { name: each.artist }) }, "works"),
      ],
      each.probability,
      witnesses(each.paintings),
    );
  }

  controls(finding) {
    const button = (words, key, act, look) =>
      h(
        "button",
        { type: "button", class: look, id: `review-${key}`, "aria-keyshortcuts": key, onclick: act },
        words,
        " ",
        h("kbd", {}, key),
      );
    this.note = h("input", {
      id: "review-note",
      value: finding.decision?.note || "",
      maxlength: 2000,
      onkeydown: (event) => this.leaves(event),
      onchange: () => this.write(this.note.value.trim()),
    });
    return [
      h(
        "div",
        { class: "row decide no-print" },
        button("Accept", "a", () => this.accept(), "main"),
        button("Leave as it is", "r", () => this.decide("left")),
        button("Undo", "u", () => this.undo()),
        button("Before", "k", () => this.move(-1)),
        button("Next", "j", () => this.move(1)),
      ),
      h(
        "div",
        { class: "row" },
        h("label", { class: "grow" }, h("span", {}, "Note ", h("kbd", {}, "n")), this.note),
        h("label", {}, h("span", {}, "Who decides"), this.who),
      ),
    ];
  }

  // From a field back to where keys decide.
  leaves(event) {
    if (["Enter", "Escape"].includes(event.key)) this.heading.focus();
  }

  footer() {
    return h(
      "div",
      { class: "row no-print" },
      h("button", { type: "button", onclick: (event) => this.lookAnew(event) }, "Review again"),
      h("button", { type: "button", onclick: (event) => this.export(event) }, "Decisions as CSV"),
      h("button", { type: "button", onclick: () => print() }, "Print"),
    );
  }

  async export(event) {
    const { target } = event;
    target.disabled = true;
    try {
      const rows = (await all("review/decisions", "decisions", this.signal)).map(
        ({ kind, objects, records, state, artist, note, by, at }) => [
          kind,
          objects.join(" | "),
          records.map((each) => each || "").join(" | "),
          state,
          artist,
          note,
          by,
          at,
        ],
      );
      save(
        csv([["kind", "objects", "records", "decision", "artist", "note", "by", "at"], ...rows]),
        "text/csv",
        "decisions.csv",
      ).click();
    } catch (error) {
      this.say(problem(error));
    }
    target.disabled = false;
  }
}

// Whether somebody is more probable than none of the artists.
const isNamed = ({ candidates, unknown }) => candidates.length > 0 && candidates[0].probability >= (unknown ?? 0);

function headingOf(finding) {
  if (finding.kind === "duplicate") return finding.objects.join(" and ");
  if (finding.kind === "doubtful")
    return `Your record: ${finding.recorded}; it looks ${isNamed(finding) ? `more like ${finding.candidates[0].artist}` : "like none of the artists here"}`;
  return finding.recorded ? `Your record: ${finding.recorded}` : "No artist is recorded";
}

const forRecorded = ({ for_recorded: recorded }) =>
  recorded?.paintings.length > 0 &&
  h("div", {}, h("h3", {}, `Nearest by ${recorded.artist}`), witnesses(recorded.paintings));

const inReference = ({ reference }) =>
  reference.length > 0 &&
  h(
    "div",
    {},
    h("h3", {}, "In the reference gallery"),
    h(
      "ul",
      { class: "bars" },
      reference.map((each) =>
        bar(
          each.artist,
          each.probability,
          h(
            "ul",
            { class: "listed" },
            each.paintings.map((near) =>
              h(
                "li",
                {},
                h("span", { class: "note" }, near.distance.toFixed(3)),
                h("span", {}, elsewhere(near.painting, named(near.painting))),
              ),
            ),
          ),
        ),
      ),
    ),
  );
