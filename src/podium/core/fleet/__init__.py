"""Device facts as columns; liveness by session epoch."""
