"""The page of an exploration, section by section."""
