"""The embedded store: one SQLite database, current-state tables and append-only history in one transaction."""
