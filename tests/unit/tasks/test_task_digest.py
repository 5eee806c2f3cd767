"""Canonical tasks: known bytes, an exact inverse, and a digest that every single term moves."""

import hashlib
import json
from collections.abc import Iterator
from typing import Literal, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, fields, replace

from podium.tasks.digest import read_task_bytes, task_bytes, task_digest
from podium.tasks.file import parse_task
from podium.tasks.task import (
    Abort,
    Aggregate,
    Budgets,
    Data,
    Fairness,
    Head,
    ModelSource,
    Privacy,
    Ramp,
    Round,
    RunRules,
    Section,
    Select,
    Target,
    Task,
)
from podium.wire.durations import Duration
from podium.wire.problems import OperatorFault
from tests.unit.tasks.task_texts import SMALL, WHOLE

FULL = replace(
    parse_task(WHOLE, "whole.toml"),
    privacy=Privacy(mechanism="gaussian", epsilon=8.0, delta=1e-7),
    select=Select(
        requires="a",
        when="b",
        prefers={"battery": 1.0},
        over=1.5,
        separation=Duration(1),
        stratify="device.site",
        fairness=Fairness(times_max=3, without_replacement=True),
        budgets=Budgets(trainings_per_day=1, bytes_per_month=2, energy_wh_per_day=3.0),
        options={"alpha": 2.0},
    ),
)
"""A task in which nothing is left empty."""

SMALL_BYTES = (
    b'{"aggregate":{"norm_max":{"decimal":"100"},"optimizer":{"lr":{"decimal":"1"},"rule":"sgd"},"secure":false,'
    b'"steps":[{"rule":"mean","weighted":true}],"value_abs_max":{"decimal":"8"},"weight_max":{"decimal":"10000"}},'
    b'"data":{"datasets":[],"examples_min":0},"local":{},'
    b'"model":{"alias":"","file":"","init":"podium_examples.hospital:init","version":""},"privacy":null,'
    b'"round":{"concurrency":0,"form_deadline":600000,"goal":4,"minimum":4,"mode":"sync","report_deadline":300000,'
    b'"stall":60000},"run":{"abandoned_max":5,"deadline":86400000,"rounds":1,"seed":0,"target":null},'
    b'"select":{"over":"auto","prefers":{},"requires":"","sampling":"none","separation":0,"strategy":"uniform",'
    b'"when":""},"task":{"basis":"","kind":"train","name":"heart","plan":"podium_examples.hospital:train",'
    b'"plan_digests":[],"purpose":"tell heart disease"}}'
)


def test_the_bytes_of_a_small_task_are_these() -> None:
    task = parse_task(SMALL, "small.toml")
    assert task_bytes(task) == SMALL_BYTES
    assert task_digest(task) == "sha256:" + hashlib.sha256(SMALL_BYTES).hexdigest()
    assert read_task_bytes(SMALL_BYTES) == task


def test_a_term_that_came_later_is_written_only_where_it_is_used() -> None:
    """SMALL_BYTES, and so its digest, are those of the release that knew none of them."""
    small = read_task_bytes(SMALL_BYTES)
    assert small.select == Select()
    fair = replace(small, select=replace(small.select, fairness=Fairness(times_max=1)))
    written = b'"select":{"fairness":{"times_max":1,"without_replacement":false},"over"'
    assert task_bytes(fair) == edited(b'"select":{"over"', written)
    assert read_task_bytes(task_bytes(fair)) == fair


def test_reading_gives_back_every_term_with_its_type() -> None:
    again = read_task_bytes(task_bytes(FULL))
    assert again == FULL
    assert {name: type(value) for name, value in again.local.items()} == {
        name: type(value) for name, value in FULL.local.items()
    }
    assert isinstance(again.round.stall, Duration)


def test_a_number_and_its_text_and_its_other_type_are_three_things() -> None:
    digests = {task_digest(replace(FULL, local={"lr": value})) for value in (0.1, "0.1", 1, 1.0, True, "1", "true")}
    assert len(digests) == 7


def test_a_whole_number_given_in_python_for_a_float_term_is_that_float() -> None:
    whole = replace(FULL, aggregate=Aggregate(value_abs_max=8, norm_max=100, weight_max=10_000))
    floats = replace(FULL, aggregate=Aggregate(value_abs_max=8.0, norm_max=100.0, weight_max=10_000.0))
    assert task_digest(whole) == task_digest(floats)
    assert read_task_bytes(task_bytes(whole)) == floats
    bare = replace(FULL, round=Round(goal=800, stall=Duration(60_000)))
    assert task_digest(bare) == task_digest(replace(FULL, round=Round(goal=800)))


def moved(value: object, kind: object) -> object:
    """Another value that a term of `kind` may have."""
    if get_origin(kind) is Literal:
        return next(other for other in get_args(kind) if other != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, Duration):
        return Duration(value + 1)
    if isinstance(value, float):
        return value * (1 + 2**-52)
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if kind == tuple[Abort, ...]:
        assert value == ()
        return (Abort(kind="failed", share=0.2, min=50),)
    if isinstance(value, tuple):
        return value + value[:1] if value and isinstance(value[0], dict) else (*value, "more")
    assert isinstance(value, dict)
    return {**value, "more": 1.0}


def single_changes(section: Section) -> Iterator[tuple[str, Section]]:
    """(dotted key, the section with that one term changed) for each term of `section` and below."""
    for field in fields(type(section)):
        value = getattr(section, field.name)
        if isinstance(value, Section):
            for key, inner in single_changes(value):
                yield f"{field.name}.{key}", replace(section, **{field.name: inner})
        elif value is not None:
            yield field.name, replace(section, **{field.name: moved(value, field.type)})
            for name, inner_value in value.items() if isinstance(value, dict) else ():
                changed = {**value, name: moved(inner_value, type(inner_value))}
                yield f"{field.name}.{name}", replace(section, **{field.name: changed})


def test_every_single_term_moves_the_digest() -> None:
    changes = dict(single_changes(FULL))
    leaves = {
        f"{place}.{field.name}"
        for place, section in asdict(FULL).items()
        if isinstance(section, Section)
        for field in fields(type(section))
    }
    leaves = leaves - {"run.target", "round.ramp", "select.fairness", "select.budgets"} | {
        "run.target.metric",
        "run.target.at_least",
    }
    leaves |= {f"select.fairness.{field.name}" for field in fields(Fairness)}
    leaves |= {f"select.budgets.{field.name}" for field in fields(Budgets)}
    assert leaves <= set(changes), leaves - set(changes)
    assert {"task.plan_digests", "privacy.delta", "local.lr", "aggregate.optimizer.lr"} <= set(changes)
    digests = {key: task_digest(task) for key, task in changes.items() if isinstance(task, Task)}
    digests["nothing"] = task_digest(FULL)
    digests["no privacy"] = task_digest(replace(FULL, privacy=None))
    digests["no target"] = task_digest(replace(FULL, run=replace(FULL.run, target=None)))
    ramp = Ramp(base=10, factor=2.0, after=1)
    for name, each in [("ramp", ramp), *((key, other) for key, other in single_changes(ramp))]:
        digests[f"ramp {name}"] = task_digest(replace(FULL, round=replace(FULL.round, ramp=each)))
    assert len(set(digests.values())) == len(digests) == len(changes) + 7


finite = st.floats(allow_nan=False, allow_infinity=False).map(lambda value: value + 0.0)
integers = st.integers(-(2**53) + 1, 2**53 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.one_of(st.booleans(), integers, finite, texts)
durations = st.integers(0, 2**40).map(Duration)
tasks = st.builds(
    Task,
    task=st.builds(
        Head,
        name=texts,
        plan=texts,
        purpose=texts,
        kind=st.sampled_from(["train", "evaluate", "analytics"]),
        plan_digests=st.lists(texts, max_size=3).map(tuple),
        basis=texts,
    ),
    model=st.builds(ModelSource, init=texts, file=texts, alias=texts, version=texts),
    data=st.builds(Data, datasets=st.lists(texts, max_size=3).map(tuple), examples_min=integers),
    select=st.builds(
        Select,
        requires=texts,
        when=texts,
        prefers=st.dictionaries(texts, finite, max_size=2),
        over=st.one_of(st.just("auto"), finite),
        separation=durations,
        stratify=texts,
        fairness=st.builds(Fairness, times_max=st.integers(0, 2), without_replacement=st.booleans()),
        budgets=st.builds(Budgets, trainings_per_day=st.integers(0, 1), energy_wh_per_day=finite),
        options=st.dictionaries(texts, finite, max_size=1),
    ),
    round=st.builds(Round, concurrency=integers, goal=integers, minimum=integers, stall=durations),
    local=st.dictionaries(st.one_of(texts, st.just("decimal")), scalars, max_size=3),
    aggregate=st.builds(
        Aggregate,
        steps=st.lists(st.dictionaries(texts, scalars, max_size=2), max_size=2).map(tuple),
        secure=st.sampled_from([True, False, "external"]),
        value_abs_max=finite,
    ),
    privacy=st.one_of(st.none(), st.builds(Privacy, mechanism=texts, epsilon=finite, delta=finite)),
    run=st.builds(
        RunRules,
        rounds=integers,
        target=st.one_of(st.none(), st.builds(Target, metric=texts, at_least=finite)),
        deadline=durations,
        seed=integers,
    ),
)


def test_reading_is_the_exact_inverse_of_any_tasks_bytes() -> None:
    reached = {"private": 0, "targeted": 0, "float": 0, "tagged": 0, "factor": 0}

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(task=tasks)
    def holds(task: Task) -> None:
        reached["private"] += task.privacy is not None
        reached["targeted"] += task.run.target is not None
        reached["float"] += any(isinstance(value, float) for value in task.local.values())
        reached["tagged"] += list(task.local) == ["decimal"]
        reached["factor"] += task.select.over != "auto"
        data = task_bytes(task)
        again = read_task_bytes(data)
        assert again == task
        assert task_bytes(again) == data
        assert {name: type(value) for name, value in again.local.items()} == {
            name: type(value) for name, value in task.local.items()
        }

    holds()
    assert all(count >= 3 for count in reached.values()), reached


def edited(old: bytes, new: bytes) -> bytes:
    assert old in SMALL_BYTES
    return SMALL_BYTES.replace(old, new, 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "truncated"),
        (b"{}", "missing required field"),
        (b"[]", "Expected `object`"),
        (SMALL_BYTES[:-1], "truncated"),
        (SMALL_BYTES + b" ", "canonical form"),
        (b"\xff" + SMALL_BYTES, "malformed"),
        (json.dumps(json.loads(SMALL_BYTES)).encode(), "canonical form"),
        (edited(b'{"decimal":"8"}', b"8"), "canonical form"),
        (edited(b'{"decimal":"8"}', b"8.0"), "canonical form"),
        (edited(b'{"decimal":"8"}', b'{"decimal":"8.0"}'), "canonical form"),
        (edited(b'{"decimal":"8"}', b'{"decimal":"1e400"}'), ""),
        (edited(b'{"decimal":"8"}', b'{"decimal":"nan"}'), ""),
        (edited(b'"goal":4', b'"goal":{"decimal":"4"}'), "Expected `int`"),
        (edited(b'"goal":4', b'"goal":4,"goal":4'), "canonical form"),
        (edited(b'"goal":4', b'"goal":4,"pace":1'), "unknown field `pace`"),
        (edited(b'"goal":4', b'"goal":' + b"[" * 100_000), "recursion"),
        (edited(b'"select":{', b'"select":{"options":{},'), "canonical form"),
        (edited(b'"stall":60000', b'"stall":"60s"'), "$.round.stall"),
        (edited(b'"stall":60000', b'"stall":true'), "$.round.stall"),
        (edited(b'"name":"heart"', b'"name":"he\\u0061rt"'), "canonical form"),
    ],
)
def test_other_bytes_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(OperatorFault) as caught:
        read_task_bytes(data)
    assert caught.value.code == "task-invalid"
    assert why in caught.value.why


def test_no_bytes_for_what_cannot_be_signed() -> None:
    for value in (float("nan"), float("inf"), 2**53):
        with pytest.raises(ValueError):
            task_bytes(replace(FULL, local={"lr": value}))
    assert msgspec.json.decode(task_bytes(FULL))["local"]["lr"] == {"decimal": "0.1"}
