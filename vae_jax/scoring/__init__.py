"""Scores of how abnormal an image is, thresholds for them, and baseline scores to compare them with."""
