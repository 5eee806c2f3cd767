"""Generate docs/reference/task-file.md from tasks/task.py and docs/reference/python.md from the names of `podium`.

Decides: what is said of each key of a task file (`KEYS`); a key without a word here makes the generator fail. Never:
types and defaults: they are read from the structs. Usage: python -m tools.task_page
"""

import inspect

import msgspec

import podium
from podium.tasks import task
from podium.tasks.toml import duration_text
from podium.wire.durations import Duration
from podium.wire.limits import Limits
from tools.pages import Pages, table, write

SECTIONS: dict[str, type[msgspec.Struct]] = {
    "task": task.Head,
    "model": task.ModelSource,
    "data": task.Data,
    "select": task.Select,
    "round": task.Round,
    "aggregate": task.Aggregate,
    "privacy": task.Privacy,
    "run": task.RunRules,
}

KEYS: dict[str, str] = {
    "task.name": "what people call it; its model's aliases are `<name>@<alias>`",
    "task.plan": "`module:function` of a package that devices have installed; code is never shipped",
    "task.purpose": "what the result is for, in at most 1,000 characters; it is in the digest that sites approve",
    "task.kind": "`train` makes versions, `evaluate` measures one and uploads no tensors",
    "task.plan_digests": "what devices may run; `podium run` fills in the installed one; empty only with a source tree",
    "task.basis": "the lawful basis, as the operator's register words it",
    "model.init": "`module:function`, called with the seed by whoever submits; gives the first tensors",
    "model.file": "a safetensors file, beside the task file",
    "model.alias": "a version of this plane by its alias, such as `digits@latest`",
    "model.version": "a version of this plane by its digest",
    "data.datasets": "names of datasets that a device must hold",
    "data.examples_min": "how many examples of each it must hold at least",
    "select.requires": "a rule in CEL over standing facts: hardware, system, labels (reference/facts.md)",
    "select.when": "a rule in CEL over momentary facts too: battery, charging, network, heat",
    "select.prefers": "fact -> weight: whoever scores half is drawn about half as often (explanation/selection.md)",
    "select.strategy": "who of those that fit takes part (explanation/selection.md); one of your own has a dot",
    "select.over": "leases granted for one update needed; `auto`: so many that the goal reports four "
    "times in five, by what was lost of these devices before",
    "select.separation": "the least time between two trainings of one device",
    "select.sampling": "not offered yet",
    "select.stratify": "the fact whose values are the strata: `device.os`, `device.labels['locale']` and the like",
    "select.fairness.times_max": "how often one device may take part in a run; 0: no bound",
    "select.fairness.without_replacement": "whoever took part least often comes first",
    "select.budgets.trainings_per_day": "how often one device may take part in the task a day; 0: no bound",
    "select.budgets.bytes_per_month": "how many bytes the task may move to and from one device in 30 days; 0: no bound",
    "select.budgets.energy_wh_per_day": "what one device may spend on the task a day, at 5 W of work; 0: no bound",
    "select.options": "numbers of the strategy, by name (explanation/selection.md)",
    "select.weight": "its share, against other runs of equal priority, of the devices that fit both",
    "select.priority": "a device that fits several runs goes to the highest first",
    "select.regions": "where devices may be, by their label `region`; none: anywhere",
    "round.mode": "`sync`: one cohort, one version a round; `buffered`: a version of each `goal` updates of one stream "
    "(explanation/the-round.md)",
    "round.concurrency": "how many devices train at once; 0: as many as the goal, over-selected. Buffered rounds "
    "need it: so many at all times",
    "round.goal": "how many accepted updates close the round",
    "round.minimum": "how many make a version at least, else the round is abandoned; 0: the goal",
    "round.form_deadline": "how long forming may wait for the minimum",
    "round.report_deadline": "how long reporting may take, from the first lease",
    "round.stall": "a lease without progress for so long lapses",
    "round.ramp": "`{ base, factor, after }`: rounds open with a goal of `base`, which grows by `factor` for each "
    "`after` that were sealed by then, up to `round.goal`",
    "round.abort": "list of `{ kind, share, min }`: the run is abandoned once a `share` of at least `min` leases ended "
    "as `failed`, `declined`, `lapsed`, `refused` or `incompatible`",
    "round.staleness_max": "buffered: how many versions the base of an update may be behind; at most "
    f"{Limits().staleness_max}",
    "aggregate.steps": "from updates to a mean",
    "aggregate.optimizer": "how the mean moves the model",
    "aggregate.secure": "not offered yet",
    "aggregate.value_abs_max": "an update with a larger value is refused (`value-bound`)",
    "aggregate.norm_max": "an update with a larger L2 norm is refused (`norm-bound`)",
    "aggregate.weight_max": "a report with a larger weight is refused (`weight-bound`)",
    "privacy.mechanism": "not offered yet; without [privacy] a version says `privacy none`",
    "privacy.epsilon": "not offered yet",
    "privacy.delta": "not offered yet",
    "privacy.unit": "not offered yet",
    "run.rounds": "how many sealed rounds end the run",
    "run.target": "`{ metric, at_least }`: the run ends once a sealed round's pooled metric, measured on its base, is "
    "so high",
    "run.deadline": "the run ends here, exit code 6 if unfinished",
    "run.abandoned_max": "so many abandoned rounds in a row abandon the run",
    "run.seed": "moves choices, never privacy",
}

HEAD = """<!-- generated from src/podium/tasks/task.py by `make docs`; do not edit -->
# The task file

TOML. An unknown key is refused with the nearest known one. `podium task validate TASK.toml` prints the digest over all
terms and what a run would cost; `podium task show TASK.toml` prints every term with its default. A duration is text
such as `"5m"`. `[local]` is handed to the plan as it stands: numbers, texts and booleans by name.
"""


def task_file() -> str:
    """The page of every key, its type, its default and what it does."""
    parts = [HEAD]
    for name, section in SECTIONS.items():
        parts.append(f"\n## [{name}]\n\n" + table(("key", "type", "default", "what"), _rows(name, section)))
    return "".join(parts)


def _rows(at: str, section: type[msgspec.Struct]) -> list[tuple[str, str, str, str]]:
    """The rows of a section's keys; those of a section within it under their dotted key."""
    rows: list[tuple[str, str, str, str]] = []
    for field in msgspec.structs.fields(section):
        key = f"{at}.{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            rows += _rows(key, field.type)
        else:
            rows.append((f"`{key.partition('.')[2]}`", _type(field.type), _default(field), KEYS[key]))
    return rows


def _type(kind: object) -> str:
    names = {str: "text", int: "whole number", float: "number", bool: "boolean", Duration: "duration"}
    if isinstance(kind, type) and kind in names:
        return names[kind]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "table"
    options = getattr(kind, "__args__", ())
    if options and all(isinstance(option, str) for option in options):
        return " or ".join(f'`"{option}"`' for option in options)
    if getattr(kind, "__origin__", None) is tuple:
        return "list"
    return (
        "table"
        if getattr(kind, "__origin__", None) is dict
        else " or ".join(_type(option) for option in options if option is not type(None))
    )


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "needed"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if field.type is Duration:
        return f'`"{duration_text(value)}"`'
    return "none" if value in ((), None, "") or value == {} else f"`{_toml(value)}`"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(inner) for inner in value)}]"
    return msgspec.json.encode(value).decode()


def python() -> str:
    """The page of the names in `podium`, by their docstrings and signatures."""
    parts = [
        "<!-- generated from the package `podium` by `make docs`; do not edit -->\n# Python\n\n"
        "`import podium` loads nothing until a name is used, so a device loads no server.\n"
    ]
    return "".join([*parts, *(_thing(name, getattr(podium, name)) for name in podium.__all__ if name[0] != "_")])


def _thing(name: str, thing: object) -> str:
    parts = [f"\n## podium.{name}\n\n{inspect.getdoc(thing) or ''}\n"]
    if inspect.isfunction(thing):
        parts.insert(0, "")
        parts.append(f"\n```text\n{name}{inspect.signature(thing)}\n```\n")
    if inspect.isclass(thing):
        for method, body in vars(thing).items():
            function = getattr(body, "__func__", body)
            if not method.startswith("_") and inspect.isfunction(function):
                parts.append(f"\n**`{method}`** {inspect.getdoc(function) or ''}\n")
    return "".join(parts)


def pages() -> Pages:
    """Both pages."""
    return {"docs/reference/task-file.md": task_file(), "docs/reference/python.md": python()}


if __name__ == "__main__":
    write(pages())
