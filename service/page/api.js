// Asks the service. What goes wrong becomes an error with the service's own words.

const TOKEN = "artidx-token";
const PER_PAGE = 200;
export const OUTDATED = 409;

export const token = () => sessionStorage.getItem(TOKEN);
export const useToken = (value) => sessionStorage.setItem(TOKEN, value);

export const index = { name: "", generation: "" }; // of the latest answer

export class Refused extends Error {
  constructor(status, title, detail, request) {
    super(detail);
    Object.assign(this, { status, title, request });
  }
}

export const get = (path, signal) => ask(path, { signal });

// All of a list that the service gives page by page, or the first of it; and how many there are, as `total`.
export async function all(path, member, signal, most = Infinity) {
  const found = [];
  for (let page = 1, total = 1; found.length < Math.min(total, most); page += 1) {
    const some = await get(`${path}${path.includes("?") ? "&" : "?"}per_page=${PER_PAGE}&page=${page}`, signal);
    total = Math.min(some.total, some[member].length ? Infinity : found.length); // it may grow shorter meanwhile
    found.push(...some[member]);
    found.total = some.total;
  }
  return found;
}

export function post(path, fields, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value != null && value !== "") body.append(name, value);
  return ask(path, { method: "POST", body, signal });
}

// In place of what was there: a JSON body.
export const put = (path, body, signal) =>
  ask(path, { method: "PUT", body: JSON.stringify(body), signal, headers: { "content-type": "application/json" } });

// A picture, where an img cannot send the token itself. generation: of which alone it may be; another one's is refused
// as OUTDATED.
export async function blobOf(address, signal, generation) {
  const answer = await fetch(address, { headers: authorized(), signal });
  if (!answer.ok) throw new Refused(answer.status, "No picture", address);
  if (generation && answer.headers.get("artidx-generation") !== String(generation))
    throw new Refused(OUTDATED, "No picture", `${address} is of another generation`);
  return answer.blob();
}

const authorized = () => (token() ? { authorization: `Bearer ${token()}` } : {});

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(`v1/${path}`, { ...options, headers: { ...options.headers, ...authorized() } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "No answer", "The service cannot be reached; is it still running?");
  }
  const found = await answer.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    if (answer.ok) throw new Refused(0, "No answer", "The answer was cut off; is the service still running?");
    return {};
  });
  index.name = decodeURIComponent(answer.headers.get("artidx-index") || "");
  index.generation = answer.headers.get("artidx-generation") || "";
  if (!answer.ok)
    throw new Refused(
      answer.status,
      found.title,
      found.detail || `status ${answer.status}`,
      answer.headers.get("x-request-id"),
    );
  return found;
}
