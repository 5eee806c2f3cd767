"""When each device should come back. A calculation."""
