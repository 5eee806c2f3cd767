"""Generate errors.md, limits.md and causes.md of docs/reference from wire/problems.py, wire/limits.py and the table of
causes.

Decides: how they are laid out. Never: what they say. Usage: python -m tools.reference
"""

import ast
import inspect
import re
from collections.abc import Iterator

from podium.core.views.causes import CAUSES, CauseKind
from podium.core.views.funnel import STAGES
from podium.core.views.shapes import DRIFT_MAX, LEGEND, ROUNDS_NEW, ROUNDS_SEEN, SAMPLE_MIN
from podium.wire import limits, problems
from podium.wire.advice import advice
from tools.pages import Pages, table, write

FAULTS = {
    1: ("P1xxx: the device, or what it sent", "`DeviceFault`: the code goes back to the device."),
    2: ("P2xxx: the operator, or what was asked for", "`OperatorFault`: shown to the person who asked."),
    3: ("P3xxx: the store", "`StoreFault`: nothing that was acknowledged is lost; the plane reloads by itself."),
    9: ("P9xxx: Podium itself", "`Bug`: please report it with the story it prints."),
}


def note(source: str) -> str:
    """The first line of a generated page."""
    return f"<!-- generated from src/podium/{source} by `make docs`; do not edit -->\n"


def errors() -> str:
    """The page of problem codes, by whose fault they are."""
    parts = [
        note("wire/problems.py") + "# Problem codes\n\nA problem travels as RFC 9457 `application/problem+json`, type "
        "`urn:podium:problem:<code>`, and is shown to a person as `error[P<number> <code>]` with `why` and `next` "
        "lines. Codes and numbers are stable for ever. `podium error CODE` prints a section of this page offline.\n"
    ]
    for thousand, (title, meaning) in FAULTS.items():
        kinds = [(code, kind) for code, kind in problems.KINDS.items() if kind.number // 1000 == thousand]
        kinds.sort(key=lambda each: each[1].number)
        rows = [
            (f"P{kind.number}", f"[`{code}`](#{code})", str(kind.status), kind.title, kind.next) for code, kind in kinds
        ]
        parts.append(f"\n## {title}\n\n{meaning}\n\n" + table(("number", "code", "HTTP", "what", "next"), rows))
        parts += [_problem(code, kind) for code, kind in kinds]
    return "".join(parts)


def _problem(code: str, kind: problems.Kind) -> str:
    """The section of one code; its anchor is the code itself."""
    told = advice()[code]
    head = f"\n### {code}\n\nP{kind.number}, HTTP {kind.status}: {kind.title}.\n\n"
    return f"{head}**Cause.** {told.cause}\n\n**What to do.** {told.do}\n"


def limits_page() -> str:
    """The page of limits, in the groups of the source; settings are marked."""
    head = "# Limits\n\nEvery size, count, retry and time that Podium bounds. A limit marked *setting* is set with "
    parts = [
        note("wire/limits.py") + head + "`podium serve --set NAME=VALUE`; the others are constants of a release.\n"
    ]
    for group, rows in _groups(inspect.getsource(limits)):
        parts.append(f"\n## {group.capitalize()}\n\n" + table(("limit", "default", "", "what"), rows))
    return "".join(parts)


def _groups(text: str) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    lines = text.splitlines()
    struct = next(each for each in ast.parse(text).body if isinstance(each, ast.ClassDef))
    group, rows = "", list[tuple[str, ...]]()
    for field in struct.body:
        if not isinstance(field, ast.AnnAssign) or field.value is None:
            continue
        above = lines[field.lineno - 2].strip()
        if above.startswith("#"):
            if rows:
                yield group, rows
            group, rows = above.removeprefix("#").strip(), []
        name = ast.unparse(field.target)
        comment = lines[field.lineno - 1].partition("#")[2].strip()
        setting = "*setting*" if name in limits.SETTINGS else ""
        rows.append((f"`{name}`", _shown(name), setting, comment))
    yield group, rows


def _shown(name: str) -> str:
    value = getattr(limits.Limits(), name)
    if name.endswith(("_bytes", "_bytes_max")):
        return next((f"{value // size:,} {unit}" for size, unit in BYTES if value % size == 0), f"{value:,} bytes")
    if name.endswith(("_ms", "_ms_max")):
        return next((f"{value // size:,} {unit}" for size, unit in TIMES if value % size == 0), f"{value:,} ms")
    return f"{value:,}"


BYTES = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
TIMES = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def causes() -> str:
    """The page of causes, in the order of the table; what is filled in for a real run stands in capitals."""
    head = (
        "# Why nothing happens\n\n`podium explain RUN|DEVICE`, the operator API (`GET /api/v1/runs/ID/explain`, "
        "`GET /api/v1/devices/ID/explain`) and the console name the cause that binds a run or a device: the one that, "
        "if it were removed, would let it go on; if no one alone would, the largest. The others follow with how many "
        "devices each holds back, each device counted once. Words in capitals are filled with what holds for that very "
        "run; a step that would not help there is not said. Codes are stable.\n\n"
    )
    rows = [(f"[`{code}`](#{code})", kind.title) for code, kind in CAUSES.items()]
    sections = [_cause(code, kind) for code, kind in CAUSES.items()]
    return note("core/views/causes.py") + head + table(("code", "what it means"), rows) + "".join(sections) + _beside()


def _beside() -> str:
    """What an explanation tells besides causes: the funnel's stages, and the shapes of leases."""
    stages = [(name, means) for name, means in STAGES.items()]
    marks = [(f"`{mark}`", says) for mark, says in LEGEND.items()]
    return (
        "\n# How far devices get\n\nThe funnel of a run's oldest open round: each device once, at the furthest stage "
        "that it reached, so no stage is larger than the one before. What keeps the others stands under each stage, "
        "with what would change it.\n\nA device counts for the first cause that keeps it. `without it N more could "
        "take part` counts those of its devices that no other cause keeps: so many would come if this one were gone. "
        "A check-in is judged by the first momentary clause that fails; the others are looked up in what the device "
        "told last.\n\n"
        + table(("stage", "a device counts that, besides all before, is or has"), stages)
        + "\n# Session shapes\n\nWhat became of a lease, a mark for each thing that happened; only what the record "
        "proves, so a device that failed or declined may have got further. Shapes are counted by round and over the "
        f"newest {ROUNDS_SEEN} rounds of a run. If the newest {ROUNDS_NEW} ended rounds differ from those before by a "
        f"population stability index above {DRIFT_MAX}, from {SAMPLE_MIN} leases on either side, "
        "[shape-drift](#shape-drift) says so, and so does the alert "
        "[PodiumSessionsDrifted](../how-to/observability.md#podiumsessionsdrifted).\n\n"
        + table(("mark", "what happened"), marks)
    )


def _cause(code: str, kind: CauseKind) -> str:
    said = [f"**Of a {of}.** {_plain(text)}\n\n" for of, text in (("run", kind.run), ("device", kind.device)) if text]
    steps = "".join(f"- {_plain(step)}\n" for step in kind.next)
    return f"\n## {code}\n\n{kind.title[0].upper()}{kind.title[1:]}.\n\n{''.join(said)}**What to do.**\n\n{steps}"


def _plain(template: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: name[1].upper().replace("_", " "), template)


def pages() -> Pages:
    """The generated pages of docs/reference."""
    return {
        "docs/reference/errors.md": errors(),
        "docs/reference/limits.md": limits_page(),
        "docs/reference/causes.md": causes(),
    }


if __name__ == "__main__":
    write(pages())
