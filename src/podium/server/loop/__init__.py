"""The loop that owns the core, what waits for it, and the one writer thread."""
