// The panel in which a score is chosen and its threshold is moved.

// Returns the panel: `view` with `score` and `threshold`, and `set` to change them.
function makeThresholdPanel(data, onChange) {
  const select = byId("live-score");
  const slider = byId("live-slider");
  const number = byId("live-threshold");
  const rate = byId("live-rate");
  const view = { score: data.scoreByName.get(data.deciding), threshold: 0 };
  const positives = data.labels.reduce((sum, label) => sum + label, 0);
  const hasBoth = positives > 0 && positives < data.labels.length;
  let scale, curve;

  for (const score of data.scores) {
    const decides = score.name === data.deciding ? " (decides)" : "";
    select.appendChild(new Option(score.name + decides, score.name));
  }

  function set(name, threshold) {
    const score = data.scoreByName.get(name) ?? data.scoreByName.get(data.deciding);
    if (score !== view.score || !scale) {
      view.score = score;
      scale = makeScale(score);
      curve = hasBoth ? traceCurve(score.values, data.labels) : [];
    }
    view.threshold = Number.isFinite(threshold) ? threshold : score.threshold;
    select.value = score.name;
    showControls();
    showNumbers();
    onChange();
  }

  function showControls() {
    const { score, threshold } = view;
    slider.value = Math.round(1000 * scale.place(threshold));
    slider.setAttribute("aria-valuetext", formatNumber(threshold));
    if (document.activeElement !== number) number.value = threshold;
    byId("live-rate-label").hidden = !score.calibration;
    if (!score.calibration) return;
    const promised = promiseRate(score.calibration, threshold);
    const text = formatPercent(promised);
    if (document.activeElement !== rate) rate.value = Math.round(400 * promised);
    rate.setAttribute("aria-valuetext", text);
    byId("live-rate-text").textContent = text;
  }

  function showNumbers() {
    const { score, threshold } = view;
    const counts = countOutcomes(score, data.labels, threshold);
    const measures = measureOutcomes(counts);
    for (const [name, count] of Object.entries(counts)) {
      byId(`count-${name}`).textContent = count.toLocaleString("en-US");
    }
    for (const [name, value] of Object.entries(measures)) {
      byId(`live-${name}`).textContent = formatRate(value);
    }
    showState();
    drawHistogram(byId("live-histogram"), score, data.labels, scale, threshold);
    const calibrated = measureOutcomes(countOutcomes(score, data.labels, score.threshold));
    const share = positives / data.labels.length;
    const rocAxes = ["fpr", "recall", "false-alarm rate", "recall"];
    drawCurve(byId("live-roc"), curve, rocAxes, [0, 1], calibrated, measures);
    const prAxes = ["recall", "precision", "recall", "precision"];
    drawCurve(byId("live-pr"), curve, prAxes, [share, share], calibrated, measures);
  }

  function showState() {
    const { score, threshold } = view;
    const state = byId("live-state");
    const isCalibrated = threshold === score.threshold;
    const decides = score.name === data.deciding;
    const texts = [];
    if (isCalibrated) texts.push("Calibrated threshold: it was set without looking at test images.");
    else texts.push("Chosen on test data: this threshold was moved while the test results were in sight.");
    if (isCalibrated && score.calibration && score.low === undefined && data.wanted !== undefined) {
      const n = score.calibration.length.toLocaleString("en-US");
      const rate = formatPercent(promiseRate(score.calibration, threshold));
      texts.push(`The highest rate up to ${formatPercent(data.wanted)} that ${n} calibration images allow is ${rate}.`);
    }
    if (!decides) texts.push(`The run decides by ${data.deciding}, not by ${score.name}.`);
    if (decides && data.jointly) {
      texts.push("The run decides about all images together; these counts are those of a threshold alone.");
    }
    if (score.low !== undefined) texts.push(`Scores below ${formatNumber(score.low)} are flagged, too.`);
    state.textContent = texts.join(" ");
    state.classList.toggle("oracle-state", !isCalibrated);
  }

  select.addEventListener("change", () => set(select.value, NaN));
  slider.addEventListener("input", () => set(view.score.name, scale.value(slider.value / 1000)));
  number.addEventListener("input", () => {
    if (number.value !== "") set(view.score.name, Number(number.value));
  });
  rate.addEventListener("input", () => {
    const { calibration, name } = view.score;
    const smallest = 1 / (calibration.length + 1);
    set(name, findThreshold(calibration, Math.max(smallest, rate.value / 400)));
  });
  byId("live-reset").addEventListener("click", () => set(view.score.name, NaN));

  const plot = byId("live-histogram");
  const drag = (event) => {
    if (!(event.buttons & 1)) return;
    const box = plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * 360;
    const place = (x - PLOT.left) / (PLOT.right - PLOT.left);
    set(view.score.name, scale.value(Math.min(1, Math.max(0, place))));
  };
  plot.addEventListener("pointerdown", drag);
  plot.addEventListener("pointermove", drag);
  return { view, set };
}
