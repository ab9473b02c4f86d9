"""The report of one run: figures, tables and the page."""
