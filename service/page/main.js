// The frame around the views: which one the link asks for, the words below it, and a token where the service wants one.

import { get, index, useToken } from "./api.js";
import { artist, collection, painting } from "./collection.js";
import { compare } from "./compare.js";
import { count, h, problem, within } from "./dom.js";
import { identify } from "./identify.js";
import { map } from "./map.js";
import { report } from "./report.js";
import { review } from "./review.js";
import { shortlist } from "./shortlist.js";

const VIEWS = { compare, identify, collection, artist, painting, map, review, report };
const main = document.getElementById("main");
let leaving = new AbortController();
let view;

function go(address) {
  if (location.hash === address) show();
  else location.hash = address;
}

function show() {
  if (location.hash === "#main") {
    // the link to the content is no view
    main.focus();
    return;
  }
  leaving.abort();
  leaving = new AbortController();
  const [name, query] = location.hash.replace(/^#\/?/, "").split("?");
  const isKnown = Object.hasOwn(VIEWS, name || "compare");
  const focused = view && view.name === name;
  view = isKnown
    ? { name, ...VIEWS[name || "compare"](new URLSearchParams(query), leaving.signal, go) }
    : {
        name,
        title: "Not found",
        content: [
          h("h1", {}, "There is no such page"),
          h("p", {}, h("a", { href: "#/compare" }, "Compare two paintings")),
        ],
      };
  within(main, ...view.content);
  document.title = `${view.title} · artidx`;
  for (const each of document.querySelectorAll("nav[aria-label=Views] a")) {
    if (each.hash === `#/${name || "compare"}`) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  // What had the focus may be gone: nobody is to start again at the top.
  if (!focused || document.activeElement === document.body) main.focus({ preventScroll: true });
  scrollTo(0, focused ? scrollY : 0);
}

async function start() {
  try {
    const manifest = await get("index");
    document.getElementById("index").textContent =
      `Answers from ${index.name}: ${count(manifest.paintings, "painting")} by ${count(manifest.artists, "artist")}, generation ${manifest.generation}; model ${manifest.model.name} ${manifest.model.sha256.slice(0, 12)}.`;
    show();
    tellShortlist();
    for (const changed of ["shortlist", "storage"]) addEventListener(changed, tellShortlist); // here, or in another tab
    addEventListener("hashchange", show);
    addEventListener("beforeprint", () => {
      // paper has no disclosure, and no address
      document.querySelectorAll("details").forEach((each) => {
        each.open = true;
      });
      document.getElementById("printed").textContent =
        `Printed on ${new Date().toLocaleDateString("en", { dateStyle: "long" })} from ${location.href}`;
    });
    addEventListener("paste", (event) => {
      if (event.clipboardData.files.length && view.paste) view.paste(event.clipboardData.files);
    });
  } catch (error) {
    within(main, error.status === 401 ? asked(error) : problem(error));
  }
}

function tellShortlist() {
  document.getElementById("shortlisted").textContent = shortlist().length ? `(${shortlist().length})` : "";
}

// The service was started with a token for reading.
function asked() {
  const given = h("input", {
    type: "password",
    autocomplete: "current-password",
    required: true,
    pattern: "[!-~]+",
    title: "Letters, digits and signs of ASCII",
  });
  return h(
    "form",
    {
      class: "sheet",
      onsubmit: (event) => {
        event.preventDefault();
        useToken(given.value);
        start();
      },
    },
    h("h1", {}, "This service asks for a token"),
    h("input", { type: "text", autocomplete: "username", value: "artidx", hidden: true }),
    h(
      "div",
      { class: "row" },
      h("label", { class: "grow" }, h("span", {}, "Token"), given),
      h("button", { class: "main" }, "Go on"),
    ),
  );
}

start();
