"""The model x -> q(z|x) -> z -> p(x|z), its objective, and its random streams."""
