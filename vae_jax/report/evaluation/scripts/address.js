// The view in the fragment of the address, so that a case can be sent to somebody else.

// Returns the view that the fragment describes, or null for a fragment that names a heading.
function readAddress() {
  const text = location.hash.slice(1);
  return text.includes("=") ? new URLSearchParams(text) : null;
}

function writeAddress(data, panel, viewer, gallery) {
  const parts = new URLSearchParams();
  const { score, threshold } = panel.view;
  if (score.name !== data.deciding) parts.set("score", score.name);
  if (threshold !== score.threshold) parts.set("threshold", String(threshold));
  for (const [name, control] of Object.entries(gallery?.controls ?? {})) {
    if (control.value !== control.options[0].value) parts.set(name, control.value);
  }
  if (viewer.state.row >= 0) parts.set("image", String(viewer.state.row));
  const text = parts.toString();
  // A link to a heading stays in the address until something is changed.
  if (text || readAddress()) history.replaceState(null, "", `#${text}`);
}

function applyAddress(data, panel, viewer, gallery) {
  const parts = readAddress();
  if (!parts) return;
  for (const [name, control] of Object.entries(gallery?.controls ?? {})) {
    const value = parts.get(name) ?? control.options[0].value;
    if (Array.from(control.options).some((option) => option.value === value)) control.value = value;
  }
  const text = parts.get("threshold");
  panel.set(parts.get("score") ?? data.deciding, text === null ? NaN : Number(text));
  gallery?.update();
  const row = parts.has("image") ? Number(parts.get("image")) : -1;
  if (Number.isInteger(row) && row >= 0 && row < data.labels.length) viewer.open(row, gallery?.list() ?? []);
  else viewer.close();
}
