// Review: what a curator should look at, as a work list. What is accepted becomes a label of the index, with who says so;
// what is left as it is, and notes, stay in this browser, and all of it can be taken away as a table.

import { get, index, send, token, useToken } from "./api.js";
import { bar, card, count, elsewhere, evidence, h, link, named, percent, problem, save, waiting, within } from "./dom.js";

const KINDS = { doubtful: "Doubtful", duplicate: "Duplicates", unattributed: "Without an artist" };
const PER_PAGE = 100, LATER_MS = 3000;
const WHO = "artidx-who", NOBODY = "unknown"; // as a table of a collection says that an artist is not known
const STATES = { accepted: "✓ accepted", left: "– left as it is" };

// What was decided in this browser, of one index: { key: { state, artist, before, note, by, at } }.
class Decided {
  constructor() {
    this.name = `artidx-review ${index.name}`;
    try { this.all = JSON.parse(localStorage.getItem(this.name)) || {}; } catch { this.all = {}; }
  }

  of(finding) { return this.all[keyOf(finding)] || {}; }

  put(finding, changes) {
    this.all[keyOf(finding)] = { ...this.of(finding), id: finding.paintings[0].id, kind: finding.kind, ...changes };
    localStorage.setItem(this.name, JSON.stringify(this.all));
  }

  asTable() {
    const columns = ["kind", "objects", "id", "decision", "artist", "note", "by", "at"];
    const rows = Object.entries(this.all).filter(([, each]) => each.state || each.note).map(([key, each]) => [each.kind, key.split(" ").slice(1).join(" "), each.id, each.state, each.artist, each.note, each.by, each.at]);
    return [columns, ...rows].map((row) => row.map(inCsv).join(",")).join("\r\n");
  }
}

const keyOf = (finding) => `${finding.kind} ${finding.objects.join(" | ")}`;

// A cell that begins like a formula is to be none in a spreadsheet.
function inCsv(value) {
  const text = /^[=+\-@\t\r]/.test(value ?? "") ? `'${value}` : String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function review(parameters, signal) {
  const kind = Object.hasOwn(KINDS, parameters.get("kind") || "") ? parameters.get("kind") : "doubtful";
  const content = h("div", { "aria-live": "polite" }, waiting("Asking for the findings …"));
  const ask = async () => {
    try {
      const found = await get(`review?kind=${kind}&per_page=${PER_PAGE}`, signal);
      if (found.findings) new WorkList(content, found, kind, parameters, signal).show();
      else {
        within(content, waiting(`${found.detail} …`));
        setTimeout(() => signal.aborted || ask(), LATER_MS);
      }
    } catch (error) { if (!signal.aborted) within(content, problem(error)); }
  };
  ask();
  return {
    title: "Review",
    content: [h("h1", {}, "What to look at"), h("nav", { class: "row no-print", "aria-label": "Kinds of findings" }, Object.entries(KINDS).map(([name, words]) =>
      h("a", { class: "button", href: link("review", { kind: name }), "aria-current": name === kind ? "page" : null }, words))), content],
  };
}

class WorkList {
  constructor(place, found, kind, parameters, signal) {
    Object.assign(this, { place, found, kind, signal, findings: found.findings, decided: new Decided(), at: 0, done: [], page: 1 });
    const wanted = this.findings.findIndex((each) => each.objects.includes(parameters.get("object")));
    this.at = Math.max(0, wanted);
    this.said = h("div", { "aria-live": "assertive" });
    document.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  get finding() { return this.findings[this.at]; }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const number = Number(event.key);
    const does = { a: () => this.accept(), r: () => this.leave(), n: () => this.note.focus(), u: () => this.undo(), j: () => this.move(1), k: () => this.move(-1) }[event.key]
      || (number >= 1 && this.choices[number - 1] && (() => { this.choices[number - 1].checked = true; }));
    if (!does || !this.finding) return;
    event.preventDefault();
    does();
  }

  async move(step) {
    if (this.at + step >= this.findings.length && this.findings.length < this.found.total) await this.more();
    this.at = Math.min(Math.max(this.at + step, 0), this.findings.length - 1);
    this.show();
  }

  async more() {
    try {
      this.page += 1;
      this.findings.push(...(await get(`review?kind=${this.kind}&per_page=${PER_PAGE}&page=${this.page}`, this.signal)).findings);
    } catch (error) {
      this.page -= 1;
      within(this.said, problem(error));
    }
  }

  put(finding, changes) {
    this.done.push([finding, this.decided.of(finding)]);
    this.decided.put(finding, { by: this.who.value.trim(), at: new Date().toISOString(), ...changes });
    this.move(1);
  }

  leave() { this.put(this.finding, { state: "left", artist: undefined }); }

  async accept() {
    const { finding } = this, artist = this.choices.find((each) => each.checked)?.value;
    if (!artist) { this.put(finding, { state: "accepted" }); return; } // of duplicates there is no artist to accept
    if (await this.labelled(finding, artist)) this.put(finding, { state: "accepted", artist, before: finding.recorded || NOBODY });
  }

  async undo() {
    const last = this.done.pop();
    if (!last) { within(this.said, h("p", { class: "quiet" }, "Nothing to undo.")); return; }
    const [finding, before] = last, now = this.decided.of(finding);
    if (now.artist && now.artist !== before.artist && !(await this.labelled(finding, before.artist || now.before))) { this.done.push(last); return; }
    this.decided.put(finding, { state: undefined, artist: undefined, note: undefined, ...before });
    this.at = this.findings.indexOf(finding);
    this.show();
  }

  // Whether the index has it now: with a token that may write, and with who says so.
  async labelled(finding, artist) {
    const by = this.who.value.trim();
    if (!by) { this.who.focus(); within(this.said, h("p", { class: "problem", role: "alert" }, "Say who you are: a decision is kept with who made it.")); return false; }
    try {
      await send("review/decisions", { decisions: { [finding.paintings[0].id]: artist }, by }, this.signal);
      return true;
    } catch (error) {
      within(this.said, problem(error), [401, 403].includes(error.status) && this.asked());
      return false;
    }
  }

  asked() {
    const given = h("input", { type: "password", autocomplete: "off", pattern: "[!-~]+", required: true });
    return h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); useToken(given.value); within(this.said); } },
      h("label", { class: "grow" }, h("span", {}, token() ? "Another token, that may write" : "A token that may write"), given), h("button", {}, "Use it"));
  }

  show() {
    const { finding, found } = this, counts = Object.entries(found.counts).map(([name, number]) => `${KINDS[name].toLowerCase()} ${number.toLocaleString("en")}`).join(", ");
    const open = this.findings.filter((each) => !this.decided.of(each).state).length;
    this.choices = [];
    if (!finding) { within(this.place, h("p", {}, "Nothing was found."), h("p", { class: "quiet" }, counts)); return; }
    history.replaceState(null, "", link("review", { kind: this.kind, object: finding.objects[0] }));
    const own = this.decided.of(finding);
    this.who = h("input", { value: localStorage.getItem(WHO) || "", autocomplete: "name", onchange: (event) => localStorage.setItem(WHO, event.target.value) });
    this.note = h("input", { value: own.note || "", onchange: (event) => this.decided.put(finding, { note: event.target.value, by: this.who.value.trim(), at: new Date().toISOString() }) });
    const button = (words, key, act, look) => h("button", { type: "button", class: look, "aria-keyshortcuts": key, onclick: act }, words, " ", h("kbd", {}, key));
    const list = h("ol", { class: "worklist", start: 1 }, this.findings.map((each, number) => h("li", {}, h("button", { type: "button", class: "plain", "aria-current": number === this.at ? "true" : null,
      onclick: () => { this.at = number; this.show(); } }, each.paintings.map((painting) => painting.title || painting.id).join(" and ")), h("span", { class: "quiet" }, STATES[this.decided.of(each).state] || ""))));
    within(this.place, h("p", { class: "quiet" }, `${counts}. Found in generation ${found.generation}; ${count(open, "finding")} of this list still open.`),
      h("div", { class: "faceted reviewed" }, h("div", { class: "no-print" }, list, this.findings.length < found.total && h("p", { class: "quiet" }, `The first ${this.findings.length} of ${found.total.toLocaleString("en")}; more come at the end.`)),
        h("section", { class: "sheet", "aria-label": "Finding" }, ...this.told(finding),
          own.state && h("p", { class: "lead" }, STATES[own.state], own.artist && `: ${own.artist}`, own.by && `, ${own.by}`),
          h("div", { class: "row no-print" }, button("Accept", "a", () => this.accept(), "main"), button("Leave as it is", "r", () => this.leave()), button("Undo", "u", () => this.undo()),
            button("Before", "k", () => this.move(-1)), button("Next", "j", () => this.move(1))),
          h("div", { class: "row" }, h("label", { class: "grow" }, h("span", {}, "Note (n)"), this.note), h("label", {}, h("span", {}, "Who decides"), this.who)), this.said,
          h("div", { class: "row no-print" }, save(this.decided.asTable(), "text/csv", "decisions.csv", "Save all decisions as CSV"), h("button", { type: "button", onclick: () => print() }, "Print"))),
      ));
    list.querySelector("[aria-current]").scrollIntoView({ block: "nearest" });
  }

  told(finding) {
    const pictures = h("ul", { class: "grid" }, finding.paintings.map((each, number) => card(each, finding.records[number] && `record: ${finding.records[number]}`)));
    if (finding.kind === "duplicate") {
      return [h("h2", {}, `${finding.objects.join(" and ")}`), h("p", {}, `The photographs ${finding.picture?.says || finding.how}.`), pictures,
        finding.paintings.length > 1 && h("p", { class: "no-print" }, h("a", { href: link("compare", { a: finding.paintings[0].id, b: finding.paintings[1].id }) }, "Look at both closely"))];
    }
    const [first] = finding.candidates, heading = finding.kind === "doubtful" ? `Your record: ${finding.recorded}; it looks more like ${first?.artist ?? "nobody here"}` : finding.recorded ? `Your record: ${finding.recorded}` : "No artist is recorded";
    return [h("h2", {}, heading), finding.expected_false != null && h("p", { class: "quiet" }, `Of this record and the more doubtful ones, ${percent(finding.expected_false)} are expected to be right all the same.`), pictures,
      finding.candidates.length > 0 && h("fieldset", {}, h("legend", {}, "Who might have painted it"), h("ul", { class: "bars" }, finding.candidates.map((each, number) => this.candidate(each, number)), finding.unknown != null && bar("none of the artists here", finding.unknown))),
      finding.for_recorded && h("div", {}, h("h3", {}, `Nearest by ${finding.for_recorded.artist}`), evidence(finding.for_recorded.paintings.map((each) => [each.painting, each.distance.toFixed(3)]), "small")),
      finding.reference.length > 0 && h("div", {}, h("h3", {}, "In the reference gallery"), h("ul", { class: "bars" }, finding.reference.map((each) => bar(each.artist, each.probability,
        h("ul", { class: "listed" }, each.paintings.map((near) => h("li", {}, h("span", { class: "note" }, near.distance.toFixed(3)), h("span", {}, elsewhere(near.painting, named(near.painting))))))))))];
  }

  candidate(each, number) {
    const choice = h("input", { type: "radio", name: "candidate", value: each.artist, checked: !number });
    this.choices.push(choice);
    return bar([h("label", {}, choice, " ", h("kbd", {}, number + 1), ` ${each.artist}`), " ", h("a", { class: "quiet", href: link("artist", { name: each.artist }) }, "works")], each.probability,
      evidence(each.paintings.map((near) => [near.painting, near.distance.toFixed(3)]), "small"));
  }
}
