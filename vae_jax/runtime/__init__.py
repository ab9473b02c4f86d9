"""The process: its memory, its compiler options, its progress bars, and the other processes beside it."""
