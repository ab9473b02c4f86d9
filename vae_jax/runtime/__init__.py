"""The process: its memory, its compiler, its progress bars, and the other processes beside it."""
