// The shortlist: paintings of the index and pictures of one's own that somebody wants to come back to, each with a note.
// It is kept in this browser, of each index its own, and becomes a report.

import { index } from "./api.js";
import { keepOnly, pictureOf } from "./own.js";

const MOST = 100; // what a report can hold, and a link
const keptAs = () => `artidx-shortlist ${index.name}`;

// [{ id, note }, ...] in the order in which they were put there; a picture of one's own has its `file`'s name, no `id`.
export function shortlist() {
  try {
    return JSON.parse(localStorage.getItem(keptAs())) || [];
  } catch {
    return [];
  }
}

export function keepShortlist(entries) {
  localStorage.setItem(keptAs(), JSON.stringify(entries));
  const names = entries.filter((each) => each.file).map((each) => each.file);
  keepOnly(keptAs(), names).catch((error) => console.debug(error.message)); // the report says which are gone
  dispatchEvent(new Event("shortlist"));
}

export const shortlisted = (name) => pictureOf(keptAs(), name);

const isSame = (one, other) => one.id === other.id && one.file === other.file;

// entry: { id } or { file }.
export const isOnShortlist = (entry) => shortlist().some((each) => isSame(each, entry));

// Whether it is on the shortlist then.
export function toggle(entry) {
  const entries = shortlist(),
    others = entries.filter((each) => !isSame(each, entry));
  const isNew = others.length === entries.length && entries.length < MOST;
  keepShortlist(isNew ? [...entries, { ...entry, note: "" }] : others);
  return isNew;
}
