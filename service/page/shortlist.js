// The shortlist: paintings that somebody wants to come back to, each with a note. It is kept in this browser, of each
// index its own, and becomes a report.

import { index } from "./api.js";

const MOST = 100; // what a report can hold, and a link
const keptAs = () => `artidx-shortlist ${index.name}`;

// [{ id, note }, ...] in the order in which they were put there.
export function shortlist() {
  try {
    return JSON.parse(localStorage.getItem(keptAs())) || [];
  } catch {
    return [];
  }
}

export function keepShortlist(entries) {
  localStorage.setItem(keptAs(), JSON.stringify(entries));
  dispatchEvent(new Event("shortlist"));
}

export const isOnShortlist = (id) => shortlist().some((each) => each.id === id);

// Whether it is on the shortlist then.
export function toggle(id) {
  const entries = shortlist(),
    others = entries.filter((each) => each.id !== id);
  const isNew = others.length === entries.length && entries.length < MOST;
  keepShortlist(isNew ? [...entries, { id, note: "" }] : others);
  return isNew;
}
