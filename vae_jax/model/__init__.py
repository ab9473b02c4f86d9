"""The science: x -> q(z|x) -> z -> p(x|z)."""
