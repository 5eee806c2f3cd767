"""Generate docs/reference/cli.md from the command line itself: every verb, argument, option and exit code.

Decides: how it is laid out. What holds for all verbs is prose in cli_page.txt beside it. Never: what a verb says of
itself. Usage: python -m tools.cli_page
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

import typer

from podium.cli.errors import EXIT_CODES
from podium.cli.main import app
from tools.pages import Pages, table, write

COMMON = ("--data", "--plane", "--token-file")


class Parameter(Protocol):
    """What is read of an argument or an option of the command line's own parser."""

    param_type_name: str
    opts: list[str]
    name: str
    metavar: str | None
    required: bool
    help: str | None
    is_flag: bool
    envvar: str | None
    default: object


class Command(Protocol):
    """What is read of a verb, or of a noun with its verbs."""

    help: str | None
    params: list[Parameter]
    commands: dict[str, "Command"]


def verbs(command: Command | None = None, words: str = "podium") -> Iterator[tuple[str, Command]]:
    """("podium device list", its command) for every verb, nouns after plain verbs, each in order of the alphabet."""
    top = command if command is not None else cast(Command, typer.main.get_command(app))
    inner: dict[str, Command] = getattr(top, "commands", {})
    for name in sorted(inner, key=lambda each: (bool(getattr(inner[each], "commands", {})), each)):
        if getattr(inner[name], "commands", {}):
            yield from verbs(inner[name], f"{words} {name}")
        else:
            yield f"{words} {name}", inner[name]


def _section(words: str, command: Command) -> str:
    """One verb: its line, what it does, and its arguments and options but the plane's."""
    common = {each.opts[0] for each in command.params} >= set(COMMON)
    shown = [each for each in command.params if not (common and each.opts[0] in COMMON) and each.opts[0] != "--help"]
    arguments = [each for each in shown if each.param_type_name == "argument"]
    options = [each for each in shown if each not in arguments]
    line = " ".join([words, *map(_argument, arguments), *map(_option, options)])
    text = f"\n### {words}\n\n```text\n{line}\n```\n\n{(command.help or '').strip()}\n"
    rows = [(f"`{_spelt(each)}`", _default(each), each.help or "") for each in shown]
    if rows:
        text += "\n" + table(("", "default", "what"), rows)
    return text + ("\nAnd the plane's options.\n" if common else "")


def _argument(each: Parameter) -> str:
    name = each.metavar or each.name.upper()
    return name if each.required or name.startswith("[") else f"[{name}]"


def _option(each: Parameter) -> str:
    spelt = each.opts[-1] if each.is_flag else f"{each.opts[-1]} {_metavar(each)}"
    return spelt if each.required else f"[{spelt}]"


def _spelt(each: Parameter) -> str:
    if each.param_type_name == "argument":
        return each.metavar or each.name.upper()
    names = ", ".join(each.opts)
    return names if each.is_flag else f"{names} {_metavar(each)}"


def _metavar(each: Parameter) -> str:
    return each.metavar or each.name.upper().strip("_")


def _default(each: Parameter) -> str:
    if each.required:
        return "needed"
    said = [f"`{each.default}`"] if each.default not in (None, "", False, [], ()) else []
    return " or ".join([*said, *([f"`${each.envvar}`"] if each.envvar else [])])


def page() -> str:
    """The whole page."""
    sections = "".join(_section(words, command) for words, command in verbs())
    codes = table(("code", "means"), [(str(code), meaning) for code, meaning in EXIT_CODES.items()])
    text = Path(__file__).with_suffix(".txt").read_text()
    return text.replace("\n<!-- verbs -->\n", sections).replace("<!-- exit codes -->\n", codes)


def pages() -> Pages:
    """docs/reference/cli.md."""
    return {"docs/reference/cli.md": page()}


if __name__ == "__main__":
    write(pages())
