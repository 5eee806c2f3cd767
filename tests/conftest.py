"""For every test: hypothesis without deadlines (no test is timed), `--rewrite`, and the table mutant asked for."""

import importlib
import os
import signal

import hypothesis
import pytest

from tests.mutation.mutants import VARIABLE, parse

hypothesis.settings.register_profile("podium", deadline=None)
hypothesis.settings.load_profile("podium")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--rewrite` keeps the transcripts of tests/transcripts as they are told now, for a reviewer to read the diff."""
    parser.addoption("--rewrite", action="store_true", help="keep transcripts as they are told now")


def pytest_configure() -> None:
    """Let Ctrl-C reach what the tests start, and put the mutant that the environment names into the core's tables."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # a shell ignores it for what it runs in the background, and every child of the tests would inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
    name = os.environ.get(VARIABLE)
    if name:
        mutant = parse(name)
        tables = importlib.import_module("podium.core.rounds.table")
        mutant.put_into(getattr(tables, f"{mutant.machine.upper()}_TABLE"))
