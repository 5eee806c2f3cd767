"""The machine of runs, rounds and leases: states, events, tables, transitions."""
