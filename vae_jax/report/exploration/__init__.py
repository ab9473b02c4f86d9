"""Makes the page of an exploration: its sections, figures and the template."""
