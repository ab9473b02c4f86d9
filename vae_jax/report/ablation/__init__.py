"""The page that compares the cells of an ablation."""
