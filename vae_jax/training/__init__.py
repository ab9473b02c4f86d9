"""State, optimizer, the pure step, jit and pmap, random streams, checkpoints."""
