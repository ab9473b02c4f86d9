"""Comparing finished runs: paired differences, seeds, ranks over datasets; numbers only."""
