"""The machine of versions and aliases."""
