"""Backups: one consistent, verified file of everything a plane knows, and the way back. No private key is in it."""
