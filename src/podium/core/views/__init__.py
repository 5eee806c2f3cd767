"""What a person may see of the core. A calculation: reads only."""
