// Decisions by a threshold, and what they cost. An anomaly is the positive class.

function isFlagged(value, threshold, low) {
  return value > threshold || (low !== undefined && value < low);
}

// Returns "found" or "missed" for an anomaly, "false_alarms" or "passed" for a normal image.
function nameOutcome(label, flagged) {
  if (label === 1) return flagged ? "found" : "missed";
  return flagged ? "false_alarms" : "passed";
}

function countOutcomes(score, labels, threshold) {
  const counts = { found: 0, missed: 0, false_alarms: 0, passed: 0 };
  labels.forEach((label, row) => {
    counts[nameOutcome(label, isFlagged(score.values[row], threshold, score.low))] += 1;
  });
  return counts;
}

function measureOutcomes({ found, missed, false_alarms, passed }) {
  return {
    recall: found / (found + missed),
    precision: found / (found + false_alarms),
    fpr: false_alarms / (false_alarms + passed),
    accuracy: (found + passed) / (found + missed + false_alarms + passed),
    f1: (2 * found) / (2 * found + false_alarms + missed),
  };
}

// Returns how many of the sorted values are below a value, or at most as high if `inclusive`.
function countBelow(sorted, value, inclusive) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value || (inclusive && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The conformal p-value: (1 + calibration normals that score as high or higher) / (n + 1).
function computePValue(calibration, value) {
  const n = calibration.length;
  return (1 + n - countBelow(calibration, value, false)) / (n + 1);
}

// The false-alarm rate that a threshold promises for new normal images.
function promiseRate(calibration, threshold) {
  const n = calibration.length;
  return (1 + n - countBelow(calibration, threshold, true)) / (n + 1);
}

// The threshold above which p-values are at most `rate`, by the rule of the run.
function findThreshold(calibration, rate) {
  const n = calibration.length;
  let above = 0;
  while (above < n && (above + 1) / (n + 1) <= rate) above += 1;
  return calibration[n - Math.max(above, 1)];
}

// Returns false-alarm rate, recall and precision for every threshold, the highest first.
function traceCurve(values, labels) {
  const order = Array.from(values.keys()).sort((a, b) => values[b] - values[a]);
  const positives = labels.reduce((sum, label) => sum + label, 0);
  const negatives = labels.length - positives;
  const points = [{ fpr: 0, recall: 0, precision: 1 }];
  let found = 0;
  order.forEach((row, i) => {
    found += labels[row];
    if (i + 1 < order.length && values[order[i + 1]] === values[row]) return;
    const flagged = i + 1;
    points.push({
      fpr: (flagged - found) / negatives,
      recall: found / positives,
      precision: found / flagged,
    });
  });
  return points;
}
