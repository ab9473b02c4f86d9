// Reads the data of the page. Columns of numbers are base64 text of little-endian floats.

function decodeColumn(column) {
  const bytes = Uint8Array.from(atob(column.data), (character) => character.charCodeAt(0));
  return column.type === "f4" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
}

// Returns the data with decoded columns, or null for a page without any.
function readPageData() {
  const element = document.getElementById("page-data");
  if (!element) return null;
  const data = JSON.parse(element.textContent);
  for (const score of data.scores) {
    score.values = decodeColumn(score.values);
    if (score.calibration) score.calibration = decodeColumn(score.calibration);
  }
  if (data.pValues) data.pValues = decodeColumn(data.pValues);
  data.scoreByName = new Map(data.scores.map((score) => [score.name, score]));
  data.fileOf = new Map();
  if (data.gallery) data.gallery.rows.forEach((row, i) => data.fileOf.set(row, data.gallery.files[i]));
  return data;
}

function byId(name) {
  return document.getElementById(name);
}

// Returns a new element with a text, which is never read as markup.
function makeElement(tag, text = "", className = "") {
  const element = document.createElement(tag);
  if (text !== "") element.textContent = text;
  if (className) element.className = className;
  return element;
}

function formatRate(value) {
  return Number.isFinite(value) ? value.toFixed(3) : "–";
}

function formatPercent(share) {
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

function formatNumber(value) {
  if (value === 0 || !Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  return size < 1e-4 || size >= 1e6 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
}
