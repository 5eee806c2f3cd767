"""The digits example as the simulations of these tests run it."""

from pathlib import Path

from podium.tasks.file import read_task

OF_GATEWAYS = frozenset({"gateway-dies", "gateway-deaf"})
"""Faults that a plane of one gateway never meets."""
DIGITS = read_task(Path(__file__).parents[2] / "examples" / "digits" / "task.toml")
