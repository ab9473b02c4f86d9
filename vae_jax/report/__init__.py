"""The HTML pages about a run, an exploration and an ablation, and the figures on them."""
