"""Choosing among scores without anomalies: synthetic corruptions of normals, and a ranking by them."""
