// Pictures of one's own. They stay in this browser: all that were given for as long as the page is open, those on the
// shortlist until they are taken off it.

const DATABASE = "artidx";
const STORE = "pictures";
const given = new Map(); // by name, since the page was opened

export const givenAs = (name) => given.get(name);

// The name that a file has from now on: its own, unless another one has that. isTaken(name): whether one has.
export function give(file, isTaken) {
  const isOther = (name) => (given.has(name) ? given.get(name) !== file : isTaken(name));
  let name = file.name;
  for (let number = 2; isOther(name); number += 1) name = `${number} ${file.name}`;
  given.set(name, file);
  return name;
}

// The picture of this name; undefined where this browser has it no longer.
export async function pictureOf(list, name) {
  return given.get(name) ?? (await inStore("readonly", (store) => store.get([list, name])));
}

// Keep of a list the pictures with these names, and no others.
export async function keepOnly(list, names) {
  const kept = await inStore("readonly", (store) => store.getAllKeys(IDBKeyRange.bound([list], [list, []])));
  const old = kept.filter(([, name]) => !names.includes(name)),
    fresh = names.filter((name) => given.has(name) && !kept.some(([, known]) => known === name));
  if (!old.length && !fresh.length) return;
  await inStore("readwrite", (store) => {
    old.forEach((key) => store.delete(key));
    fresh.forEach((name) => store.put(given.get(name), [list, name]));
  });
}

// What a request answers in the database, once what it began is done.
async function inStore(mode, asks) {
  const database = await opened();
  try {
    return await new Promise((done, failed) => {
      const transaction = database.transaction(STORE, mode),
        request = asks(transaction.objectStore(STORE));
      transaction.oncomplete = () => done(request?.result);
      transaction.onabort = () => failed(transaction.error);
    });
  } finally {
    database.close();
  }
}

function opened() {
  return new Promise((done, failed) => {
    const request = indexedDB.open(DATABASE);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
}
