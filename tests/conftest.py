"""For every test: hypothesis without deadlines (no test is timed), and the table mutant that is asked for."""

import importlib
import os

import hypothesis

from tests.mutation.mutants import VARIABLE, parse

hypothesis.settings.register_profile("podium", deadline=None)
hypothesis.settings.load_profile("podium")


def pytest_configure() -> None:
    """Put the mutant named by the environment into the core's tables before anything else imports them."""
    name = os.environ.get(VARIABLE)
    if name:
        mutant = parse(name)
        tables = importlib.import_module("podium.core.rounds.table")
        mutant.put_into(getattr(tables, f"{mutant.machine.upper()}_TABLE"))
