"""Arrays in, arrays out. Each fast path has a slow exact twin. No clock, entropy or I/O."""
