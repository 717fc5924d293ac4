// Where two paintings lie among all pairs that were measured: two distributions, the threshold, and the two.

import { svg } from "./dom.js";

const HEIGHT = 250;
const SIDE = 16;
const TOP = 44;
const BOTTOM = 42;
const PHONE = 600;
const NEAR = 0.06; // on either side of a distance the pairs are counted that make the height there
const STEPS = 120;

// Heights of a curve, [[distance, density], ...], from the share of pairs nearer than each distance: the ROC.
function density(roc, rate, start, end) {
  const [first, second] = roc,
    slope = (second[rate] - first[rate]) / (second.distance - first.distance);
  const begin = Math.max(0, first.distance - (2 * first[rate]) / Math.max(slope, 1e-9)); // a wedge of the first one's pairs
  const known = [[begin, 0], ...roc.slice(0, -1).map((point) => [point.distance, point[rate]])]; // the last stands for all beyond
  const share = (x) => {
    const after = known.findIndex(([at]) => at > x);
    if (after <= 0) return after ? known.at(-1)[1] : 0;
    const [[from, low], [to, high]] = known.slice(after - 1, after + 1);
    return low + ((high - low) * (x - from)) / (to - from);
  };
  return Array.from({ length: STEPS + 1 }, (_, step) => start + (step / STEPS) * (end - NEAR - start)).map((x) => [
    x,
    (share(x + NEAR) - share(x - NEAR)) / (2 * NEAR),
  ]);
}

// shift: what is taken from the curves' fused distances so that they are distances for these two.
export function distributions(scale, verdict, shift) {
  const end = scale.roc.at(-2).distance,
    width = innerWidth < PHONE ? 400 : 720;
  const curves = {
    same: density(scale.roc, "true_positive_rate", shift, end),
    different: density(scale.roc, "false_positive_rate", shift, end),
  };
  const top = Math.max(
    ...Object.values(curves)
      .flat()
      .map(([, y]) => y),
  );
  const x = (fused) => SIDE + (width - 2 * SIDE) * Math.min((fused - shift) / (end - shift), 1);
  const y = (height) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (height / top);
  const area = (points) =>
    `M${x(shift)},${y(0)} ${points.map(([s, d]) => `L${x(s)},${y(d)}`).join(" ")} L${x(points.at(-1)[0])},${y(0)} Z`;
  const peak = (points) => points.reduce((best, point) => (point[1] > best[1] ? point : best));
  const here = x(verdict.distance + shift),
    threshold = x(verdict.threshold + shift);
  const label = (at, row, text, style) =>
    svg(
      "text",
      { x: at, y: row, class: style, "text-anchor": at < 70 ? "start" : at > width - 70 ? "end" : "middle" },
      text,
    );
  const ticks = [];
  for (let tick = 0; tick + shift <= end; tick += 0.25) ticks.push(tick);
  return svg(
    "svg",
    {
      class: "chart",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      role: "img",
      "aria-label": `The distance ${verdict.distance.toFixed(3)} among the distances of pairs by one artist and by two; the threshold is ${verdict.threshold.toFixed(3)}.`,
    },
    svg("path", { class: "different", d: area(curves.different) }),
    svg("path", { class: "same", d: area(curves.same) }),
    label(x(peak(curves.same)[0]) - 60, y(peak(curves.same)[1] * 0.3), "one artist", "name-same"),
    label(x(peak(curves.different)[0]) - 44, y(peak(curves.different)[1] * 0.65), "two artists", "name-different"),
    svg("line", { class: "axis", x1: SIDE, x2: width - SIDE, y1: y(0), y2: y(0) }),
    ticks.map((tick) => label(x(tick + shift), HEIGHT - BOTTOM + 16, tick.toFixed(2))),
    label(width / 2, HEIGHT - 6, "distance"),
    svg("line", { class: "threshold", x1: threshold, x2: threshold, y1: 18, y2: y(0) }),
    label(threshold, 13, `threshold ${verdict.threshold.toFixed(3)}`),
    svg("line", { class: "here", x1: here, x2: here, y1: 36, y2: y(0) }),
    svg("circle", { class: "dot", cx: here, cy: 36, r: 5 }),
    label(here, 29, `these two ${verdict.distance.toFixed(3)}`, "strong"),
  );
}

// Of an index of two or three paintings there is no curve.
export const isDrawable = (scale) => scale.roc.length > 2;

export const beyond = (scale) => 1 - scale.roc.at(-2).false_positive_rate;
