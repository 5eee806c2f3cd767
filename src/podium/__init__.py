"""Podium: a federated learning orchestration plane. Decides who trains, when, and on which version."""
