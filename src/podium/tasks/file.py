"""The task file: TOML text to a typed, effective, checked `Task`.

Decides: how a file is read, which key a person probably meant, and what a wrong value is told.
Never: cross-field rules (tasks/check.py), expressions (core/selection), the model's bytes.
Limits: a file is read whole; a task file is a page of text.
"""

import tomllib
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

import msgspec

from podium.tasks.check import task_faults
from podium.tasks.task import Section, Task
from podium.wire.durations import Duration, parse_duration
from podium.wire.problems import OperatorFault

_SAME_SECTION = 0.25  # how much likelier a key of the same section is than one as similar elsewhere

_WORDS: dict[object, str] = {
    str: "text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Duration: 'a duration such as "90s" or "1h30m"',
}


def read_task(path: Path) -> Task:
    """The effective task of the TOML file at `path`, checked; `OperatorFault` (file-unreadable, or of `parse_task`)."""
    return parse_task(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a task file; `OperatorFault(file-unreadable)`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OperatorFault("file-unreadable", what=f"cannot read the task file {path}", why=why) from error
    except UnicodeDecodeError as error:
        raise OperatorFault(
            "file-unreadable", what=f"cannot read the task file {path}", why="it is not UTF-8"
        ) from error


def parse_task(text: str, source: str) -> Task:
    """The effective task of TOML `text`, checked; `source` names it in messages.

    `OperatorFault`: task-unknown-key with the nearest known key; task-invalid naming the key, what it got and what it
    expects (for bad TOML, the line); not-available for what this release does not offer yet.
    """
    task, faults = judge_task(text, source)
    if task is None or faults:
        raise faults[0]
    return task


def judge_task(text: str, source: str) -> tuple[Task | None, list[OperatorFault]]:
    """The effective task of TOML `text` and every fault of it, as `parse_task` words them.

    None while a key is unknown, missing or of another type: only a task that can be read has terms to judge.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [OperatorFault("task-invalid", what=f"{source} is not TOML", why=str(error))]
    return judge_table(raw, source)


def judge_table(raw: Mapping[str, object], source: str) -> tuple[Task | None, list[OperatorFault]]:
    """`judge_task` of a task file's `raw` table: what TOML says, before any of it is a term."""
    misfits = list(_misfits(raw, Task, "", source))
    if misfits:
        return None, misfits
    task = normal(msgspec.convert(raw, Task, dec_hook=_from_text))
    return task, list(task_faults(task))


def normal(task: Task) -> Task:
    """`task` with what it left to a rule filled in: a `round.minimum` of 0 becomes the goal."""
    if task.round.minimum != 0:
        return task
    return msgspec.structs.replace(task, round=msgspec.structs.replace(task.round, minimum=task.round.goal))


def _from_text(kind: type, value: object) -> object:
    """How msgspec reads a `Duration` of a task file: from text such as "5m"."""
    if kind is Duration and isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"expected {expected(kind)}")


def _misfits(value: object, kind: object, key: str, source: str) -> Iterator[OperatorFault]:
    """What below `key` is unknown, missing or of another type than `kind`, in the order of the file.

    msgspec alone would say `$.local[...]`: a person needs the key and the value.
    """
    section = _section(kind)
    if section is not None:
        yield from _misfits_of(value, section, key, source)
    elif get_origin(kind) in (dict, tuple) and isinstance(value, Mapping | list):
        inner = get_args(kind)[1 if get_origin(kind) is dict else 0]
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        if isinstance(value, Mapping) != (get_origin(kind) is dict):
            yield _invalid(source, key, value, kind)
            return
        for name, item in items:
            at = f"{key}.{name}" if isinstance(value, Mapping) else f"{key}[{name}]"
            yield from _misfits(item, inner, at, source)
    elif not _fits(value, kind):
        yield _invalid(source, key, value, kind)


def _fits(value: object, kind: object) -> bool:
    try:
        msgspec.convert(value, kind, dec_hook=_from_text)
    except msgspec.ValidationError:
        return False
    return True


def _misfits_of(value: object, section: type[Section], key: str, source: str) -> Iterator[OperatorFault]:
    if not isinstance(value, Mapping):
        what = f"{source}: {key} = {_shown(value)}"
        yield OperatorFault("task-invalid", what=what, why=f"expected a table: write [{key}]")
        return
    fields = {field.name: field for field in msgspec.structs.fields(section)}
    for name, inner in value.items():
        if name in fields:
            yield from _misfits(inner, fields[name].type, _dotted(key, name), source)
            continue
        yield OperatorFault(
            "task-unknown-key",
            what=f"{source}: unknown key {_dotted(key, name)}",
            why=f"the nearest known key is {nearest(key, name)}",
            next=f"write {nearest(key, name)}, or remove the key",
        )
    for name, field in fields.items():
        if field.required and name not in value:
            what, why = f"{source}: {_dotted(key, name)} is missing", f"expected {expected(field.type)}"
            yield OperatorFault("task-invalid", what=what, why=why)


def nearest(section: str, name: str) -> str:
    """The known key most like `section`.`name`, dotted; a key of the same section wins over one as like elsewhere."""

    def likeness(known: str) -> tuple[float, str]:
        home, _, last = known.rpartition(".")
        return (SequenceMatcher(None, name, last).ratio() + (_SAME_SECTION if home == section else 0.0), known)

    return max(map(likeness, known_keys()))[1]


def known_keys(section: type[Section] = Task, key: str = "") -> list[str]:
    """Every key a task file may have, dotted, in order: ["task", "task.name", ...]."""
    keys: list[str] = []
    for field in msgspec.structs.fields(section):
        dotted = _dotted(key, field.name)
        inner = _section(field.type)
        keys += [dotted, *(known_keys(inner, dotted) if inner is not None else [])]
    return keys


def expected(kind: object) -> str:
    """`kind` in the words of a person who writes TOML."""
    if _section(kind) is not None:
        return "a table"
    if set(get_args(kind)) == {int, float, str, bool}:
        return "a number, text in quotes, or true or false"
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(expected(part) for part in get_args(kind) if part is not NoneType)
    if get_origin(kind) is Literal:
        return " or ".join(f'"{value}"' for value in get_args(kind))
    if get_origin(kind) is dict:
        return f"a table, each value {expected(get_args(kind)[1])}"
    if get_origin(kind) is tuple:
        return f"a list, each item {expected(get_args(kind)[0])}"
    return _WORDS[kind]


def _section(kind: object) -> type[Section] | None:
    """The section that `kind` is or, if not None, may be."""
    for part in get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,):
        if isinstance(part, type) and issubclass(part, Section):
            return part
    return None


def _invalid(source: str, key: str, value: object, kind: object) -> OperatorFault:
    return OperatorFault("task-invalid", what=f"{source}: {key} = {_shown(value)}", why=f"expected {expected(kind)}")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _dotted(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
