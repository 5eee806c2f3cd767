"""A task as TOML text: every term with its value, defaults written out, so that a person sees what was meant.

Decides: how a term is written. `parse_task` of the text gives the same task, with one exception: TOML 1.0 has no null,
so an absent table ([privacy], run.target) is left out.
"""

import msgspec

from podium.tasks.task import Task
from podium.wire.durations import Duration

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def task_toml(task: Task) -> str:
    """The effective `task`, one [section] after another in the order of the struct."""
    parts = []
    for section in task.__struct_fields__:
        terms = getattr(task, section)
        if terms is None:
            continue
        fields = terms if isinstance(terms, dict) else msgspec.structs.asdict(terms)
        lines = [f"{_key(name)} = {_value(value)}" for name, value in fields.items() if value is not None]
        parts.append("\n".join([f"[{section}]", *lines]) + "\n")
    return "\n".join(parts)


def duration_text(ms: int) -> str:
    """`ms` as the task file writes it, in the largest unit that holds it whole: "90s", "5m", "1500ms", "0s"."""
    return next((f"{ms // size}{unit}" for unit, size in _UNITS if ms and ms % size == 0), f"{ms}ms" if ms else "0s")


def _value(value: object) -> str:
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Duration):
        return f'"{duration_text(value)}"'
    return repr(value) if isinstance(value, int | float) else _text(str(value))


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "_").isidentifier()
    return name if bare else _text(name)


def _text(text: str) -> str:
    """A basic string (TOML 1.0, "String"): quotes, backslashes and controls escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else _code(char) for char in escaped) + '"'


def _code(char: str) -> str:
    """A character by its number: four digits, or eight for those beyond them."""
    return f"\\u{ord(char):04X}" if ord(char) <= 0xFFFF else f"\\U{ord(char):08X}"


def task_terms(task: Task) -> dict[str, str]:
    """Every term by its dotted key, as the task file writes it: what two tasks are compared by."""
    found: dict[str, str] = {}
    for section in task.__struct_fields__:
        terms = getattr(task, section)
        fields = terms if isinstance(terms, dict) else msgspec.structs.asdict(terms) if terms is not None else {}
        found |= {f"{section}.{name}": _value(value) for name, value in fields.items() if value is not None}
    return found
