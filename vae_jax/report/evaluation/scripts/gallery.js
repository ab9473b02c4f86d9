// The gallery of all test images: thumbnails on sheets, filtered and sorted.

const PAGE_SIZE = 240;

// Returns what draws thumbnails; the sheets become backgrounds of CSS classes, one per sheet.
function makeThumbnails(data) {
  const gallery = data.gallery;
  const place = new Map();
  if (gallery) {
    gallery.rows.forEach((row, i) => place.set(row, i));
    const style = document.head.appendChild(document.createElement("style"));
    gallery.sheets.forEach((sheet, i) => {
      style.sheet.insertRule(`.sheet-${i} { background-image: url("${sheet}") }`);
    });
  }

  // Returns the thumbnail of an image, `side` pixels wide; an empty element if it has none.
  function draw(row, side) {
    const picture = makeElement("span", "", "thumbnail");
    if (!place.has(row)) return picture;
    const i = place.get(row);
    const onSheet = i % gallery.perSheet;
    const first = i - onSheet;
    const count = Math.min(gallery.perSheet, gallery.rows.length - first);
    const columns = Math.min(gallery.columns, count);
    const [x, y] = [onSheet % gallery.columns, Math.floor(onSheet / gallery.columns)];
    picture.classList.add(`sheet-${first / gallery.perSheet}`);
    if (gallery.side < 64) picture.classList.add("sharp");
    picture.style.width = picture.style.height = `${side}px`;
    picture.style.backgroundSize = `${columns * side}px auto`;
    picture.style.backgroundPosition = `${-x * side}px ${-y * side}px`;
    return picture;
  }

  function enlarge(row, side) {
    const picture = draw(row, side);
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", `image: ${data.fileOf.get(row) ?? row + 1}`);
    return picture;
  }
  return { draw, enlarge };
}

function makeGallery(data, panel, thumbnails, openViewer, onChange) {
  const kind = byId("gallery-kind");
  const classSelect = byId("gallery-class");
  const sort = byId("gallery-sort");
  const order = byId("gallery-order");
  const grid = byId("gallery-grid");
  const names = { found: "found", missed: "missed", false_alarms: "false alarm", passed: "passed" };
  let rows = [];
  let shown = 0;

  for (const name of data.classes) classSelect.appendChild(new Option(name, name));
  sort.appendChild(new Option("score of the panel", ""));
  for (const score of data.scores) sort.appendChild(new Option(score.name, score.name));
  sort.appendChild(new Option("file name", "*file"));
  byId("gallery-note").textContent = data.gallery.complete
    ? "Every test image is here. Decisions follow the score and the threshold above."
    : `${data.gallery.rows.length.toLocaleString("en-US")} of ` +
      `${data.labels.length.toLocaleString("en-US")} test images are here: those of the galleries, wrong ` +
      "decisions, and others chosen at random. Decisions follow the score and the threshold above.";

  function getOutcome(row) {
    const { score, threshold } = panel.view;
    return nameOutcome(data.labels[row], isFlagged(score.values[row], threshold, score.low));
  }

  function isShown(row) {
    const outcome = getOutcome(row);
    const flagged = outcome === "found" || outcome === "false_alarms";
    const wanted = kind.value;
    if (wanted === "flagged" && !flagged) return false;
    if (wanted === "unflagged" && flagged) return false;
    if (outcome !== wanted && !["all", "flagged", "unflagged"].includes(wanted)) return false;
    return classSelect.value === "" || data.classes[data.classOf[row]] === classSelect.value;
  }

  function update() {
    rows = data.gallery.rows.filter(isShown);
    const sign = order.value === "up" ? 1 : -1;
    if (sort.value === "*file") {
      rows.sort((a, b) => -sign * (data.fileOf.get(a) < data.fileOf.get(b) ? 1 : -1));
    } else {
      const { values } = data.scoreByName.get(sort.value) ?? panel.view.score;
      rows.sort((a, b) => sign * (values[a] - values[b]));
    }
    byId("gallery-count").textContent = `${rows.length.toLocaleString("en-US")} images`;
    grid.replaceChildren();
    shown = 0;
    showMore();
  }

  function showMore() {
    const next = rows.slice(shown, shown + PAGE_SIZE);
    grid.append(...next.map((row, i) => makeCell(row, shown + i === 0)));
    shown += next.length;
    byId("gallery-more").hidden = shown >= rows.length;
  }

  function makeCell(row, isFirst) {
    const outcome = getOutcome(row);
    const cell = makeElement("button", "", `cell ${outcome}`);
    cell.type = "button";
    cell.tabIndex = isFirst ? 0 : -1;
    cell.dataset.row = row;
    const score = data.scoreByName.get(sort.value) ?? panel.view.score;
    const value = formatNumber(score.values[row]);
    const className = data.classes[data.classOf[row]];
    const file = data.fileOf.get(row);
    cell.title = `${file} · ${className}`;
    cell.setAttribute("aria-label", `${file}, ${className}, ${names[outcome]}, score ${value}`);
    cell.append(thumbnails.draw(row, 84), makeElement("span", names[outcome], "outcome"));
    cell.append(makeElement("span", value, "value"));
    return cell;
  }

  grid.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (cell) openViewer(Number(cell.dataset.row), rows);
  });
  grid.addEventListener("keydown", (event) => {
    const cells = Array.from(grid.children);
    const place = cells.indexOf(document.activeElement);
    if (place < 0) return;
    const perRow = cells.filter((cell) => cell.offsetTop === cells[0].offsetTop).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow }[event.key];
    const next = cells[place + (step ?? 0)];
    if (!step || !next) return;
    event.preventDefault();
    cells[place].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  for (const control of [kind, classSelect, sort, order]) {
    control.addEventListener("change", () => {
      update();
      onChange();
    });
  }
  byId("gallery-more").addEventListener("click", showMore);
  return {
    update,
    list: () => rows,
    controls: { show: kind, class: classSelect, sort, order },
  };
}
