"""Aggregation rules, one file each, composed from kernels."""
