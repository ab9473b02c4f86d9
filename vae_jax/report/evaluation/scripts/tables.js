// Tables that are sorted by a click on a heading, and copied as CSV or LaTeX.

function makeTablesLive() {
  for (const table of document.querySelectorAll("main table:not([data-plain])")) {
    const headings = table.tHead?.rows[table.tHead.rows.length - 1];
    if (headings && table.tHead.rows[0].cells.length && table.tBodies[0].rows.length > 1) {
      makeSortable(table);
    }
    addCopyButtons(table);
  }
}

function readCell(cell) {
  const clone = cell.cloneNode(true);
  for (const extra of clone.querySelectorAll(".arrow")) extra.remove();
  return clone.textContent.replace(/\s+/g, " ").trim();
}

// Returns the number with which a text begins, or null.
function readNumber(text) {
  const match = text.replace(/[,\u00a0 ]/g, "").match(/^[<>≥≤]*([-+]?\d+(\.\d+)?(e[-+]?\d+)?)/i);
  return match ? Number(match[1]) : null;
}

function compareTexts(a, b) {
  const [x, y] = [readNumber(a), readNumber(b)];
  if (x !== null && y !== null) return x - y;
  if (a === "" || b === "") return (b === "") - (a === "");
  return a.localeCompare(b, "en", { numeric: true });
}

function makeSortable(table) {
  const lines = Array.from(table.tHead.rows);
  const line = lines.reverse().find((row) => row.querySelectorAll("th[scope=col]").length > 1);
  if (!line) return;
  Array.from(line.cells).forEach((heading, column) => {
    if (heading.tagName !== "TH" || heading.classList.contains("bar-head")) return;
    const button = makeElement("button", "", "sort");
    button.type = "button";
    button.append(...heading.childNodes);
    const arrow = makeElement("span", "", "arrow");
    arrow.setAttribute("aria-hidden", "true");
    button.append(arrow);
    heading.append(button);
    button.addEventListener("click", () => {
      const isNumber = heading.classList.contains("n");
      const last = heading.getAttribute("aria-sort");
      const down = last ? last === "ascending" : isNumber;
      for (const other of line.cells) {
        other.removeAttribute("aria-sort");
        const mark = other.querySelector(".arrow");
        if (mark) mark.textContent = "";
      }
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      arrow.textContent = down ? " ▾" : " ▴";
      const body = table.tBodies[0];
      const rows = Array.from(body.rows);
      const text = new Map(rows.map((row) => [row, row.cells[column] ? readCell(row.cells[column]) : ""]));
      rows.sort((a, b) => {
        // Empty cells stay at the end in both orders.
        const [x, y] = [text.get(a), text.get(b)];
        if ((x === "") !== (y === "")) return x === "" ? 1 : -1;
        return (down ? -1 : 1) * compareTexts(x, y);
      });
      body.append(...rows);
    });
  });
}

// Returns the rows of a table as texts; a cell that spans several columns is followed by empty ones.
function readTable(table) {
  const skipped = new Set(
    Array.from(table.querySelectorAll("thead .bar-head"), (heading) => heading.cellIndex),
  );
  return Array.from(table.rows, (row) =>
    Array.from(row.cells).flatMap((cell) => {
      if (skipped.has(cell.cellIndex) && cell.matches(".bar, .bar-head, :empty")) return [];
      return [readCell(cell), ...new Array(cell.colSpan - 1).fill("")];
    }),
  );
}

function writeCsv(rows) {
  // A text that begins like a formula would be computed by a spreadsheet.
  const guard = (text) => (/^[=+@\t\r]|^-(?![\d.])/.test(text) && readNumber(text) === null ? `'${text}` : text);
  const quote = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => row.map((text) => quote(guard(text))).join(",")).join("\n") + "\n";
}

function writeLatex(rows, head) {
  const signs = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
  const escape = (text) =>
    text
      .replace(/[\\~^#$%&_{}]/g, (sign) => signs[sign] ?? `\\${sign}`)
      .replaceAll("–", "--")
      .replaceAll("≥", "$\\geq$");
  const lines = rows.map((row) => `${row.map(escape).join(" & ")} \\\\`);
  const width = Math.max(...rows.map((row) => row.length));
  const rule = head ? [...lines.slice(0, head), "\\midrule", ...lines.slice(head)] : lines;
  return `\\begin{tabular}{l${"r".repeat(width - 1)}}\n\\toprule\n${rule.join("\n")}\n\\bottomrule\n\\end{tabular}\n`;
}

function addCopyButtons(table) {
  const box = makeElement("div", "", "copy");
  const said = makeElement("span", "", "muted");
  said.setAttribute("role", "status");
  const formats = {
    CSV: () => writeCsv(readTable(table)),
    LaTeX: () => writeLatex(readTable(table), table.tHead?.rows.length ?? 0),
  };
  for (const [format, write] of Object.entries(formats)) {
    const button = makeElement("button", `copy as ${format}`);
    button.type = "button";
    button.addEventListener("click", async () => {
      said.textContent = (await copyText(write())) ? `copied as ${format}` : "the browser does not allow it";
    });
    box.append(button);
  }
  box.append(said);
  (table.closest(".wide") ?? table).after(box);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Some browsers have no clipboard for a page that is a file.
    const area = document.body.appendChild(makeElement("textarea", text, "hidden-text"));
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
