"""A task's canonical bytes and its one digest over every term, plan digests included.

Decides: the one encoding of a task, so that a site that approves a digest approves each of its terms.
Never: whether the terms make sense (tasks/check.py). A duration is whole ms, a float `{"decimal": "0.1"}`
(wire/plain.py), every default is written out: a release that changed a default would change the digest. A term that
came after the first release (`LATER`) is left out where it has its default, so that a task keeps the digest, and older
devices the bytes, that it always had; such a default can never change.
"""

import hashlib

import msgspec

from podium.tasks.task import Round, Select, Task
from podium.wire.canonical import canonical
from podium.wire.plain import convert, plain, unplain
from podium.wire.problems import OperatorFault

_LATER_OF_SELECT = ("stratify", "fairness", "budgets", "options", "weight", "priority", "regions")
LATER: dict[str, dict[str, object]] = {
    "select": {name: getattr(Select(), name) for name in _LATER_OF_SELECT},
    "round": {name: getattr(Round(), name) for name in ("ramp", "abort", "staleness_max")},
}
"""Section -> term that the first release did not know -> its default, which is never written."""


def task_bytes(task: Task) -> bytes:
    """The canonical bytes of `task`; a whole number given in Python for a float term is that float.

    `ValueError` for NaN, infinity, or an integer beyond 2^53-1: `check_task` refuses them before.
    """
    typed = convert(unplain(plain(task)), Task)
    return canonical(plain({name: _written(name, getattr(typed, name)) for name in typed.__struct_fields__}))


def _written(name: str, section: object) -> object:
    """The terms of a section that are written: all but later ones that have their default."""
    if name not in LATER or not isinstance(section, msgspec.Struct):
        return section
    terms = {key: getattr(section, key) for key in section.__struct_fields__}
    return {key: term for key, term in terms.items() if key not in LATER[name] or term != LATER[name][key]}


def task_digest(task: Task) -> str:
    """ "sha256:<hex>" over `task_bytes`."""
    return "sha256:" + hashlib.sha256(task_bytes(task)).hexdigest()


def read_task_bytes(data: bytes) -> Task:
    """The task whose `task_bytes` are exactly `data`; `OperatorFault(task-invalid)` if there is none."""
    try:
        task = convert(unplain(msgspec.json.decode(data)), Task)
        same = task_bytes(task) == data
    except (ValueError, RecursionError) as error:
        raise OperatorFault("task-invalid", what="the canonical task does not decode", why=str(error)) from error
    if not same:
        raise OperatorFault(
            "task-invalid", what="the canonical task does not decode", why="the bytes are not in canonical form"
        )
    return task
