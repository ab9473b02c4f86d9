// The dialog that shows one image: enlarged, with map, outline and all scores.

function makeViewer(data, panel, thumbnails, onChange) {
  const dialog = byId("viewer");
  const figures = new Map();
  for (const figure of document.querySelectorAll(".case[data-row]")) {
    if (!figures.has(Number(figure.dataset.row))) figures.set(Number(figure.dataset.row), figure);
  }
  const state = { row: -1, rows: [] };

  function open(row, rows) {
    state.row = row;
    state.rows = rows.includes(row) ? rows : [row];
    byId("viewer-opacity").value = 0;
    show();
    if (!dialog.open) dialog.showModal();
    onChange();
  }

  function show() {
    const { row } = state;
    const flagged = isFlagged(panel.view.score.values[row], panel.view.threshold, panel.view.score.low);
    const outcome = nameOutcome(data.labels[row], flagged);
    const names = { found: "found", missed: "missed", false_alarms: "false alarm", passed: "passed" };
    const kind = data.labels[row] ? "anomalous" : "normal";
    const place = state.rows.length > 1 ? ` · ${state.rows.indexOf(row) + 1} of ${state.rows.length}` : "";
    byId("viewer-title").textContent = data.fileOf.get(row) ?? `test image ${row + 1}`;
    byId("viewer-verdict").textContent =
      `${data.classes[data.classOf[row]]}, ${kind} · ${names[outcome]} by ${panel.view.score.name}${place}`;
    showPictures(row);
    byId("viewer-scores").replaceChildren(...data.scores.map((score) => makeScoreRow(score, row)));
  }

  function showPictures(row) {
    const box = byId("viewer-pictures");
    box.replaceChildren();
    const figure = figures.get(row);
    byId("viewer-tools").hidden = !figure;
    if (!figure) {
      const holder = makeElement("figure");
      holder.append(thumbnails.enlarge(row, 384), makeElement("figcaption", "image (thumbnail)"));
      box.append(holder);
      return;
    }
    const layers = Array.from(figure.querySelectorAll(".layers"));
    const map = layers.find((layer) => layer.dataset.kind.endsWith("map"));
    for (const layer of layers) {
      const holder = makeElement("figure");
      const copy = layer.cloneNode(true);
      if (layer.dataset.kind === "input" && map) {
        const overlay = map.querySelector("img").cloneNode(true);
        overlay.className = "overlay";
        overlay.alt = "";
        copy.querySelector("img").after(overlay);
      }
      holder.append(copy, makeElement("figcaption", layer.dataset.kind));
      box.append(holder);
    }
    const hasOutline = Boolean(figure.querySelector(".layers svg"));
    byId("viewer-outline").parentElement.hidden = !hasOutline;
    box.classList.toggle("pixelated", Boolean(figure.closest(".pixelated")));
    applyTools();
  }

  function applyTools() {
    const box = byId("viewer-pictures");
    const overlay = box.querySelector(".overlay");
    if (overlay) overlay.style.opacity = byId("viewer-opacity").value / 100;
    for (const outline of box.querySelectorAll("svg")) {
      outline.style.display = byId("viewer-outline").checked ? "" : "none";
    }
  }

  function makeScoreRow(score, row) {
    const line = makeElement("tr");
    const value = score.values[row];
    const threshold = score === panel.view.score ? panel.view.threshold : score.threshold;
    const name = makeElement("th", score.name);
    name.scope = "row";
    if (score.name === data.deciding) name.append(" ", makeElement("span", "decides", "tag decision"));
    let p = NaN;
    if (score.calibration) p = computePValue(score.calibration, value);
    else if (score.name === data.deciding && data.pValues) p = data.pValues[row];
    const decision = isFlagged(value, threshold, score.low) ? "flagged" : "passed";
    line.append(
      name,
      makeElement("td", formatNumber(value), "n"),
      makeElement("td", formatNumber(threshold), "n"),
      makeElement("td", formatRate(p), "n"),
      makeElement("td", decision),
    );
    return line;
  }

  function walk(step) {
    const place = state.rows.indexOf(state.row) + step;
    if (place >= 0 && place < state.rows.length) open(state.rows[place], state.rows);
  }

  dialog.addEventListener("keydown", (event) => {
    if (event.target.type === "range") return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    walk(step);
  });
  dialog.addEventListener("close", () => {
    state.row = -1;
    onChange();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  byId("viewer-previous").addEventListener("click", () => walk(-1));
  byId("viewer-next").addEventListener("click", () => walk(1));
  byId("viewer-close").addEventListener("click", () => dialog.close());
  byId("viewer-opacity").addEventListener("input", applyTools);
  byId("viewer-outline").addEventListener("change", applyTools);

  for (const [gallery, rows] of groupCases()) {
    for (const figure of gallery.querySelectorAll(".case[data-row]")) {
      const button = makeElement("button", "", "enlarge");
      button.type = "button";
      button.setAttribute("aria-label", `enlarge: ${figure.querySelector("figcaption").textContent}`);
      button.addEventListener("click", () => open(Number(figure.dataset.row), rows));
      figure.firstElementChild.append(button);
    }
  }
  return { state, open, close: () => dialog.close() };
}

// Returns each gallery of cases with the rows of its images.
function groupCases() {
  return Array.from(document.querySelectorAll(".cases"), (gallery) => [
    gallery,
    Array.from(gallery.querySelectorAll(".case[data-row]"), (figure) => Number(figure.dataset.row)),
  ]);
}
