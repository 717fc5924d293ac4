// Two pictures side by side, to be looked into with one movement for both; OpenSeadragon draws them, of large ones tile
// by tile.

import { get, token } from "./api.js";
import { h, within } from "./dom.js";

const STEP = 1.5;
const SECONDS = 0.4;

// A viewer adds a style element for phones unless there is one, and our content-security policy takes none: so there is
// one, of no namespace that browsers take styles from.
function withoutInlineStyle() {
  if (document.querySelector("style[data-openseadragon-mobile-css]")) return;
  const mark = document.createElementNS("about:blank", "style");
  mark.setAttribute("data-openseadragon-mobile-css", "");
  document.head.append(mark);
}

// What OpenSeadragon is to open: a file that only this page has, or the tiles of a painting of the index.
async function sourceOf(choice, signal) {
  if (choice.file) return { type: "image", url: URL.createObjectURL(choice.file) };
  const { width, height, tile, levels } = await get(`zoom/${encodeURIComponent(choice.id)}`, signal);
  return {
    width,
    height,
    tileSize: tile,
    minLevel: 0,
    maxLevel: levels - 1,
    getTileUrl: (level, column, row) =>
      `v1/tiles/${encodeURIComponent(choice.id)}?${new URLSearchParams({ level, column, row })}`,
  };
}

// sides: { a: choice, b: choice }; signal: when they are not wanted any more. Puts the two into an element of the page,
// and gives mark(region, draw), which lays what draw() makes over a pair of parts.
export async function sideBySide(element, sides, signal) {
  const { default: OpenSeadragon } = await import("./vendor/openseadragon.js");
  withoutInlineStyle();
  const sources = await Promise.all(Object.values(sides).map((choice) => sourceOf(choice, signal)));
  const link = {},
    places = ["A", "B"].map((name) =>
      h("div", { class: "closely", role: "group", "aria-label": `Painting ${name}, closely` }),
    );
  const button = (label, text, change) =>
    h("button", { type: "button", "aria-label": label, onclick: () => link.both(change) }, text);
  within(
    element,
    h("div", { class: "pair" }, places),
    h(
      "div",
      { class: "row" },
      button("closer", "+", (viewport) => viewport.zoomBy(STEP)),
      button("farther", "−", (viewport) => viewport.zoomBy(1 / STEP)),
      button("show both whole", "Whole", (viewport) => viewport.goHome()),
      h(
        "label",
        {},
        h("input", { type: "checkbox", checked: true, onchange: (event) => link.set(event.target.checked) }),
        " Move both together",
      ),
    ),
  );
  const viewers = places.map(
    (place, number) =>
      new OpenSeadragon.Viewer({
        element: place,
        tileSources: sources[number],
        drawer: "canvas",
        showNavigationControl: false,
        maxZoomPixelRatio: 4,
        visibilityRatio: 0.3,
        gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
        animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : SECONDS,
        loadTilesWithAjax: Boolean(token()),
        ajaxHeaders: token() ? { authorization: `Bearer ${token()}` } : {},
      }),
  );
  signal.addEventListener("abort", () => viewers.forEach((viewer) => viewer.destroy()));
  viewers.forEach(({ canvas }, number) => {
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `Painting ${"AB"[number]}: arrows move, plus and minus zoom, 0 shows the whole`);
  });
  await Promise.all(
    viewers.map(
      (viewer) =>
        new Promise((opened, failed) => {
          viewer.addOnceHandler("open", opened);
          viewer.addOnceHandler("open-failed", (event) => failed(new Error(event.message)));
        }),
    ),
  );
  Object.assign(link, linked(viewers));
  return (region, draw) =>
    viewers.forEach((viewer, number) => {
      const [left, top, right, bottom] = region["ab"[number]],
        { x: width, y: height } = viewer.world.getItemAt(0).getContentSize();
      viewer.addOverlay({
        element: draw(),
        location: viewer.viewport.imageToViewportRectangle(
          left * width,
          top * height,
          (right - left) * width,
          (bottom - top) * height,
        ),
      });
    });
}

// Whichever of two viewers is moved, the other follows. How they lie to each other when they are linked stays so: part
// them, lay one detail beside another, and link them again.
function linked(viewers) {
  let isLinked = true,
    isFollowing = false,
    kept;
  // Places of both pictures in one measure: from the middle, and 1 is what the viewer's width shows of the whole.
  const measured = ({ viewport }, point) =>
    point.minus(viewport.getHomeBounds().getCenter()).times(viewport.getHomeZoom());
  const placed = ({ viewport }, place) =>
    place.divide(viewport.getHomeZoom()).plus(viewport.getHomeBounds().getCenter());
  const remember = () => {
    kept = viewers.map((viewer) => ({
      zoom: viewer.viewport.getZoom() / viewer.viewport.getHomeZoom(),
      middle: measured(viewer, viewer.viewport.getCenter()),
    }));
  };
  const follow = (number, change) => {
    if (!isLinked || isFollowing) return;
    isFollowing = true;
    const viewer = viewers[number],
      other = viewers[1 - number],
      [own, theirs] = [kept[number], kept[1 - number]];
    const ratio = own.zoom / theirs.zoom;
    const same = (point) =>
      point && placed(other, measured(viewer, point).minus(own.middle).times(ratio).plus(theirs.middle));
    change(other.viewport, same, other.viewport.getHomeZoom() / viewer.viewport.getHomeZoom() / ratio);
    isFollowing = false;
  };
  viewers.forEach((viewer, number) => {
    viewer.addHandler("zoom", ({ zoom, refPoint, immediately }) =>
      follow(number, (viewport, same, ratio) => viewport.zoomTo(zoom * ratio, same(refPoint), immediately)),
    );
    viewer.addHandler("pan", ({ center, immediately }) =>
      follow(number, (viewport, same) => viewport.panTo(same(center), immediately)),
    );
  });
  remember();
  return {
    set: (value) => {
      isLinked = value;
      if (value) remember();
    },
    both: (change) => {
      // each by itself, not through the other
      isFollowing = true;
      viewers.forEach(({ viewport }) => {
        change(viewport);
        viewport.applyConstraints();
      });
      isFollowing = false;
      remember();
    },
  };
}
