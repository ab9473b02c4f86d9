// Plots as SVG, in the colours of the page.

const PLOT = { left: 42, right: 352, top: 10, bottom: 222 };

// Adds a shape to a plot. The name space comes from the page, so that no address is written here.
function addShape(svg, tag, attributes, text = "") {
  const shape = document.createElementNS(svg.namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, value);
  if (text) shape.textContent = text;
  svg.appendChild(shape);
  return shape;
}

function clearPlot(svg, xLabel, yLabel) {
  svg.replaceChildren();
  const { left, right, top, bottom } = PLOT;
  addShape(svg, "path", { class: "axis", d: `M${left},${top}V${bottom}H${right}` });
  addShape(svg, "text", { x: right, y: 254, "text-anchor": "end" }, xLabel);
  addShape(svg, "text", { x: left + 6, y: top + 8 }, yLabel);
}

function addTick(svg, x, text) {
  addShape(svg, "path", { class: "axis", d: `M${x},${PLOT.bottom}v4` });
  addShape(svg, "text", { x, y: PLOT.bottom + 17, "text-anchor": "middle" }, text);
}

// Returns functions between scores and places from 0 to 1 on the axis of a histogram.
function makeScale(score) {
  const sorted = Array.from(score.values).sort((a, b) => a - b);
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const logarithmic = sorted[0] > 0 && at(0.995) > 50 * at(0.005);
  const forward = logarithmic ? Math.log : (value) => value;
  const inverse = logarithmic ? Math.exp : (value) => value;
  let low = Math.min(forward(at(0.002)), forward(Math.max(score.threshold, sorted[0])));
  let high = Math.max(forward(at(0.998)), forward(Math.max(score.threshold, sorted[0])));
  const margin = 0.03 * (high - low || 1);
  [low, high] = [low - margin, high + margin];
  const clip = (place) => Math.min(1, Math.max(0, place));
  return {
    place: (value) =>
      logarithmic && value <= 0 ? 0 : clip((forward(value) - low) / (high - low)),
    value: (place) => inverse(low + place * (high - low)),
  };
}

const toX = (place) => PLOT.left + place * (PLOT.right - PLOT.left);
const toY = (share) => PLOT.bottom - share * (PLOT.bottom - PLOT.top - 14);

function drawHistogram(svg, score, labels, scale, threshold) {
  const bins = 36;
  clearPlot(svg, score.name, "share of the group per bin");
  const shares = [0, 1].map((group) => {
    const counts = new Array(bins).fill(0);
    let total = 0;
    labels.forEach((label, row) => {
      if (label !== group) return;
      counts[Math.min(bins - 1, Math.floor(bins * scale.place(score.values[row])))] += 1;
      total += 1;
    });
    return counts.map((count) => (total ? count / total : 0));
  });
  const highest = Math.max(...shares[0], ...shares[1]) || 1;
  shares.forEach((heights, group) => {
    let path = `M${toX(0)},${toY(0)}`;
    heights.forEach((height, bin) => {
      path += `V${toY(height / highest).toFixed(1)}H${toX((bin + 1) / bins).toFixed(1)}`;
    });
    const name = group ? "anomalies" : "normals";
    addShape(svg, "path", { class: `bars ${name}`, d: `${path}V${toY(0)}` });
  });
  for (const place of [0, 0.5, 1]) addTick(svg, toX(place), formatNumber(scale.value(place)));
  addThreshold(svg, scale.place(score.threshold), "calibrated");
  if (score.low !== undefined) addThreshold(svg, scale.place(score.low), "calibrated");
  addThreshold(svg, scale.place(threshold), "moved");
}

function addThreshold(svg, place, className) {
  const d = `M${toX(place).toFixed(1)},${PLOT.top + 12}V${PLOT.bottom}`;
  addShape(svg, "path", { class: `threshold ${className}`, d });
}

// Draws a curve over two rates, with a square at the calibrated threshold and a ring at the moved one.
function drawCurve(svg, points, axes, chance, calibrated, moved) {
  const [xName, yName, xLabel, yLabel] = axes;
  clearPlot(svg, xLabel, yLabel);
  for (const tick of [0, 0.5, 1]) addTick(svg, toX(tick), tick.toFixed(1));
  for (const tick of [0, 0.5, 1]) {
    const text = { x: PLOT.left - 6, y: toY(tick) + 4, "text-anchor": "end" };
    addShape(svg, "text", text, tick.toFixed(1));
  }
  const at = (x, y) => `${toX(x).toFixed(1)},${toY(y).toFixed(1)}`;
  addShape(svg, "path", { class: "chance", d: `M${at(0, chance[0])}L${at(1, chance[1])}` });
  const places = points
    .filter((point) => Number.isFinite(point[xName]) && Number.isFinite(point[yName]))
    .map((point) => at(point[xName], point[yName]));
  const distinct = places.filter((place, i) => place !== places[i - 1]);
  if (distinct.length) addShape(svg, "path", { class: "curve", d: `M${distinct.join("L")}` });
  const isDrawn = (point) => Number.isFinite(point[xName]) && Number.isFinite(point[yName]);
  if (isDrawn(calibrated)) {
    const [x, y] = [toX(calibrated[xName]) - 4, toY(calibrated[yName]) - 4];
    addShape(svg, "rect", { class: "mark calibrated", x, y, width: 8, height: 8 });
  }
  if (isDrawn(moved)) {
    addShape(svg, "circle", { class: "mark moved", cx: toX(moved[xName]), cy: toY(moved[yName]), r: 6 });
  }
}
