"""What fulfils the ports here: SQLite, local blobs, key files, the in-process engine."""
