"""Numbers from scores and images; no model in sight."""
