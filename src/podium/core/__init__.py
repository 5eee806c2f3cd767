"""Decisions. No clock, no entropy, no I/O, no threads, no logging: events in, steps out (`step.py`)."""
