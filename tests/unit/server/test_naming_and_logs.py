"""What people call things, and what a log line carries."""

import logging
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from podium.core.rows import AliasRow
from podium.core.state import State
from podium.server.logs import log_to, stop_logging
from podium.server.operators.naming import find_run, find_version
from podium.wire.limits import Limits
from podium.wire.problems import OperatorFault
from tests.support.aggregation_rig import rows


def world() -> State:
    """Three runs, two versions."""
    state = State(rows("sha256:aa11", "key"), Limits())
    first = state.runs["r"]
    state.put(replace(first, id="7f3a", started_ms=5))
    state.put(replace(first, id="7f4b", started_ms=9))
    state.put(replace(state.versions["sha256:aa11"], id="sha256:ab22", made_ms=7))
    state.put(AliasRow(id="m@latest", version="sha256:ab22", counter=1, actor="", why="", at_ms=0))
    return state


def test_runs_by_id_prefix_task_name_or_last() -> None:
    state = world()
    for text, found in (("7f3a", "7f3a"), ("7f3", "7f3a"), ("r", "r"), ("@last", "7f4b"), ("one-hot", "7f4b")):
        assert find_run(state, text).id == found
    for text, code in (("7f", "id-ambiguous"), ("x", "run-unknown"), ("", "run-unknown")):
        with pytest.raises(OperatorFault, match=code):
            find_run(state, text)
    with pytest.raises(OperatorFault, match="run-unknown"):
        find_run(State([], Limits()), "@last")


def test_versions_by_digest_prefix_alias_or_last() -> None:
    state = world()
    for text, found in (
        ("sha256:aa11", "sha256:aa11"),
        ("aa", "sha256:aa11"),
        ("sha256:ab", "sha256:ab22"),
        ("m@latest", "sha256:ab22"),
        ("@last", "sha256:ab22"),
    ):
        assert find_version(state, text).id == found
    for text, code in (("a", "id-ambiguous"), ("ff", "version-unknown"), ("m@none", "version-unknown")):
        with pytest.raises(OperatorFault, match=code):
            find_version(state, text)


def test_a_version_is_called_by_its_number_while_no_other_has_it() -> None:
    state = world()
    first = state.versions["sha256:aa11"]
    state.put(replace(first, id="sha256:cc33", number=9))
    assert find_version(state, "v9").id == "sha256:cc33"
    state.put(replace(first, id="sha256:dd44", number=9))
    with pytest.raises(OperatorFault, match=r"id-ambiguous.*v9 names 2"):
        find_version(state, "v9")
    with pytest.raises(OperatorFault, match="no model version is called v8"):
        find_version(state, "v8")


def test_a_log_line_carries_the_named_fields_and_nothing_else(tmp_path: Path) -> None:
    handler = log_to(tmp_path / "log")
    log = logging.getLogger("podium.somewhere")
    log.info("lease %s", "l1", extra={"lease": "l1", "secret": "s3cret", "round": 3})
    try:
        raise ValueError("broken")
    except ValueError as error:
        log.error("it broke", exc_info=error)
    stop_logging(handler)
    log.info("after the end")
    first, second = (msgspec.json.decode(line) for line in (tmp_path / "log").read_bytes().splitlines())
    assert first.pop("at").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "podium.somewhere",
        "message": "lease l1",
        "lease": "l1",
        "round": 3,
    }
    assert "ValueError: broken" in second["traceback"]
