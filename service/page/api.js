// Asks the service. What goes wrong becomes an error with the service's own words.

const TOKEN = "artidx-token";

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

export function post(path, fields, signal) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value != null && value !== "") body.append(name, value);
  return ask(path, { method: "POST", body, signal });
}

// As post, with a JSON body.
export const send = (path, body, signal) => ask(path, { method: "POST", body: JSON.stringify(body), signal, headers: { "content-type": "application/json" } });

// A picture, where an img cannot send the token itself.
export async function blobOf(address, signal) {
  const answer = await fetch(address, { headers: authorized(), signal });
  if (!answer.ok) throw new Refused(answer.status, "No picture", address);
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
    if (answer.ok) throw new Refused(0, "No answer", "The answer broke off; is the service still running?");
    return {};
  });
  index.name = decodeURIComponent(answer.headers.get("artidx-index") || "");
  index.generation = answer.headers.get("artidx-generation") || "";
  if (!answer.ok) throw new Refused(answer.status, found.title, found.detail || `status ${answer.status}`,
    answer.headers.get("x-request-id"));
  return found;
}
