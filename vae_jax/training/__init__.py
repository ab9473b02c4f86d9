"""State, optimizer, the pure step, jit and pmap, validation, checkpoints."""
