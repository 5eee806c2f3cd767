"""Problems: every code has its own number, its class, its words, and a wire form."""

import msgspec
import pytest

from podium.wire.problems import (
    KINDS,
    Bug,
    DeviceFault,
    OperatorFault,
    PodiumError,
    Problem,
    StoreFault,
    problem,
)

CLASSES: dict[int, type[PodiumError]] = {1: DeviceFault, 2: OperatorFault, 3: StoreFault}


def test_numbers_are_unique_and_have_four_digits() -> None:
    numbers = [kind.number for kind in KINDS.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(1000 <= number <= 9999 and number // 1000 in (1, 2, 3, 9) for number in numbers)


@pytest.mark.parametrize("code", KINDS)
def test_every_code_is_a_slug_with_a_title_a_next_step_and_an_error_status(code: str) -> None:
    kind = KINDS[code]
    assert code == code.lower().strip("-") and " " not in code and "_" not in code
    assert 400 <= kind.status <= 599
    assert kind.title and not kind.title.endswith(".")
    assert kind.next and not kind.next.endswith(".")


@pytest.mark.parametrize("code", [code for code in KINDS if code != "bug"])
def test_every_code_can_be_raised_rendered_and_read_back(code: str) -> None:
    kind = KINDS[code]
    error = CLASSES[kind.number // 1000](code)
    assert (error.what, error.why, error.next) == (kind.title, "", kind.next)
    assert str(error) == f"{code}: {kind.title}"
    body = msgspec.json.encode(problem(error, 250))
    read = msgspec.json.decode(body, type=Problem)
    assert (read.code, read.status, read.title, read.return_ms) == (code, kind.status, kind.title, 250)
    assert read.type == f"urn:podium:problem:{code}"
    assert (read.detail, read.next) == (kind.title, kind.next)


def test_an_error_tells_its_own_what_why_and_next() -> None:
    error = DeviceFault("norm-bound", what="check update 7f", why="its norm is 101, above 100", next="look at lr")
    assert str(error) == "norm-bound: check update 7f (its norm is 101, above 100)"
    told = problem(error)
    assert (told.detail, told.why, told.next, told.return_ms) == (error.what, error.why, "look at lr", 0)


def test_a_store_fault_says_whether_trying_again_helps_and_a_bug_carries_its_story() -> None:
    assert not StoreFault("store-full").retryable
    assert StoreFault("store-failed", retryable=True).retryable
    bug = Bug("lease 3 was granted twice")
    assert (bug.code, bug.kind.number, bug.why) == ("bug", 9001, "lease 3 was granted twice")


def test_an_unknown_code_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        DeviceFault("no-such-code")
