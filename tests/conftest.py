"""For every test: hypothesis without deadlines (no test is timed), `--rewrite`, and the table mutant asked for."""

import importlib
import os

import hypothesis
import pytest

from tests.mutation.mutants import VARIABLE, parse

hypothesis.settings.register_profile("podium", deadline=None)
hypothesis.settings.load_profile("podium")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rewrite` keeps the transcripts of tests/transcripts as they are told now, for a reviewer to read the diff."""
    parser.addoption("--rewrite", action="store_true", help="keep transcripts as they are told now")


def pytest_configure() -> None:
    """Put the mutant named by the environment into the core's tables before anything else imports them."""
    name = os.environ.get(VARIABLE)
    if name:
        mutant = parse(name)
        tables = importlib.import_module("podium.core.rounds.table")
        mutant.put_into(getattr(tables, f"{mutant.machine.upper()}_TABLE"))
