"""Rows, records and steps for the tests of store, journal and audit: plain ones by hand, any ones by hypothesis."""

from hashlib import sha256

import msgspec
from hypothesis import strategies as st

from podium.adapters.sqlite.schema import CHANGING, COLUMNS
from podium.core.effects import Record, Step
from podium.core.rows import (
    ROW_TYPES,
    AliasMoveRow,
    AliasRow,
    AnyRow,
    DeviceRow,
    FreezeRow,
    LeaseRow,
    ReleaseRow,
    RoundRow,
    RunRow,
    ServiceRow,
    TaskRow,
    TokenRow,
    VersionRow,
    WebhookRow,
    table_of,
)
from podium.tasks.task import Head, ModelSource, Privacy, RunRules, Target, Task
from podium.wire.durations import Duration


def lease(id: str = "r.1.1", device: str = "d1", state: str = "OFFERED", weight: float = 0.0) -> LeaseRow:
    """A lease row."""
    return LeaseRow(
        id=id,
        run="r",
        round=1,
        device=device,
        site="s",
        base="sha256:00",
        state=state,
        reason="",
        generation=1,
        epoch=1,
        granted_ms=10,
        deadline_ms=20,
        ended_ms=-1,
        report="",
        report_signature="",
        upload_bytes=0,
        weight=weight,
        metrics={"accuracy": (0.5, weight)},
    )


def device(id: str = "d1", number: int = -1, population: str = "default", failure: str = "") -> DeviceRow:
    """A device row; its number is one less than the digits of its id unless given: a device's number is its own."""
    digits = "".join(filter(str.isdigit, id))
    return DeviceRow(
        id=id,
        number=number if number >= 0 else (int(digits or 0) or 1_000) - 1,
        name="n",
        population=population,
        site="s",
        labels={"ward": "3", "decimal": "1"},
        public_key="AAAA",
        enrolled_ms=1,
        participated_ms=-1,
        state="active",
        failure=failure,
    )


def record(*rows: AnyRow, kind: str = "changed", tree: str = "default", at_ms: int = 1) -> Record:
    """A record that changes `rows`."""
    subject = rows[0].key() if rows else "nothing"
    return Record(at_ms=at_ms, tree=tree, kind=kind, subject=subject, actor="plane", why={"n": 1}, rows=rows)


def step(number: int, *records: Record) -> Step:
    """Step `number` with `records` and nothing to send."""
    return Step(number=number, at_ms=number * 10, records=records, sends=(), wake_ms=-1)


def salts(count: int, first: int = 0) -> list[bytes]:
    """`count` salts that differ."""
    return [sha256(b"%d" % (first + number)).digest()[:16] for number in range(count)]


ONE_OF_EACH: tuple[AnyRow, ...] = (
    TokenRow(id="t", population="p", site="", name="", labels={"a": "b"}, uses_left=1, expires_ms=5),
    device(),
    TaskRow(
        id="sha256:01",
        task=Task(
            task=Head(name="n", plan="a:b", purpose="p"),
            model=ModelSource(init="a:c"),
            local={"lr": 0.1, "decimal": "x"},
            run=RunRules(target=Target(metric="accuracy", at_least=0.9), deadline=Duration(5)),
        ),
    ),
    RunRow(
        id="r",
        task="sha256:01",
        state="RUNNING",
        reason="",
        actor="a",
        started_ms=1,
        deadline_ms=2,
        ended_ms=-1,
        base="b",
        first="b",
        rounds_sealed=0,
        rounds_opened=1,
        abandoned_in_row=0,
        loss_rate=0.125,
        metrics={},
    ),
    RoundRow(
        run="r",
        number=1,
        state="FORMING",
        reason="",
        base="b",
        manifest="",
        key_id="",
        opened_ms=1,
        form_deadline_ms=-1,
        reporting_ms=-1,
        report_deadline_ms=-1,
        ended_ms=-1,
        leases_made=0,
        outcomes={"LAPSED:stall": 2},
        version="",
        metrics={"accuracy": (1.0, 3.0)},
        site_metrics={"s": {"accuracy": (1e-9, 3e30)}},
    ),
    lease(),
    VersionRow(
        id="sha256:02",
        number=0,
        parent="",
        run="r",
        round=1,
        task="sha256:01",
        made_ms=1,
        size_bytes=1,
        statement="",
        contributors=1,
        metrics={"m": (-0.5, 1.0)},
    ),
    AliasRow(id="m@production", version="sha256:02", counter=1, actor="a", why="", at_ms=1),
    AliasMoveRow(alias="m@production", counter=1, version="sha256:02", before="", actor="a", why="", at_ms=1),
    ReleaseRow(id="sha256:02", key_id="k", statement="sha256:03", actor="a", at_ms=1),
    FreezeRow(id="plane", frozen=True, why="drill", actor="a", at_ms=1),
    ServiceRow(id="00", name="n", verbs=("runs.read",), actor="a", made_ms=1, expires_ms=2, revoked=False),
    WebhookRow(id="w", origin="https://example.org", kinds=("round-sealed",), actor="a", at_ms=1, removed=False),
)
"""A row of every table, in the order in which stores load them."""

words = st.sampled_from(["a", "b", "decimal", "_decimal", "é\U0001f600", "\uffee", ""])
finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(-1, 2**53 - 1)
sums = st.dictionaries(words, st.tuples(finite, finite), max_size=2)
tasks = st.builds(
    Task,
    task=st.builds(Head, name=words, plan=words, purpose=words),
    model=st.builds(ModelSource, init=words),
    local=st.dictionaries(words, st.integers(0, 9) | finite | words | st.booleans(), max_size=2),
    privacy=st.none() | st.builds(Privacy, mechanism=words, epsilon=finite, delta=finite),
    run=st.builds(
        RunRules,
        rounds=whole,
        target=st.none() | st.builds(Target, metric=words, at_least=finite),
        deadline=st.integers(0, 10**9).map(Duration),
    ),
)
labels = st.dictionaries(words, words, max_size=2)
keys = st.sampled_from(["k1", "k2", "k3"])
_BY_TYPE: dict[object, st.SearchStrategy[object]] = {
    int: whole,
    str: words,
    float: finite,
    bool: st.booleans(),
    tuple[str, ...]: st.lists(words, max_size=2).map(tuple),
    Task: tasks,
    dict[str, str]: labels,
    dict[str, int]: st.dictionaries(words, whole, max_size=2),
    dict[str, tuple[float, float]]: sums,
    dict[str, dict[str, tuple[float, float]]]: st.dictionaries(words, sums, max_size=2),
}


def any_row(kind: type[AnyRow], **given: st.SearchStrategy[object]) -> st.SearchStrategy[AnyRow]:
    """Any row of a `kind`, its fields drawn by their types but for those `given`."""
    fields = {field.name: _BY_TYPE[field.type] for field in msgspec.structs.fields(kind)}
    built: st.SearchStrategy[AnyRow] = st.builds(kind, **(fields | given))
    return built.map(settled)


def settled(row: AnyRow) -> AnyRow:
    """`row` with what never changes while it lives (all columns but `CHANGING`, and labels) following from its key."""
    fixed = [name for name in COLUMNS[table_of(row)] if name not in CHANGING and name not in row.KEY]
    given: dict[str, object] = {
        name: f"{name} of {row.key()}" if isinstance(getattr(row, name), str) else len(row.key()) + ord(row.key()[-1])
        for name in fixed
    }
    if isinstance(row, DeviceRow):
        given["labels"] = {"k1": {"decimal": "a"}, "k2": {"_decimal": "b", "é": ""}}.get(row.id, {})
    return msgspec.structs.replace(row, **given)


rows: st.SearchStrategy[AnyRow] = st.one_of(
    any_row(RoundRow, run=keys, number=st.integers(0, 2)),
    any_row(LeaseRow, id=keys, state=st.sampled_from(["REPORTED", "LAPSED"])),
    any_row(AliasMoveRow, alias=keys, counter=st.integers(1, 3)),
    *(any_row(kind, id=keys) for kind in ROW_TYPES if kind not in (RoundRow, LeaseRow, AliasMoveRow)),
)
records = st.builds(
    Record,
    at_ms=whole,
    tree=st.sampled_from(["plane", "default"]),
    kind=words,
    subject=words,
    actor=words,
    why=st.dictionaries(words, whole | words, max_size=2),
    rows=st.lists(rows, max_size=4).map(tuple),
)
