"""What the command line advises to type, such that it may be typed as it stands.

Decides: that a `podium ...` command in an advice carries the options by which the verb at work was told its plane.
Never: the advice itself. What the environment said needs no repeating: the next command hears it too.
Limits: only verbs that mean a plane by the same options; a text that names a plane already stays as it is.
"""

import re
import shlex
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

import typer

VARIABLES = {"data": "PODIUM_DATA", "plane": "PODIUM_PLANE", "token_file": "PODIUM_TOKEN_FILE"}
"""Which variable of the environment says the default of which option."""
_COMMAND = re.compile(r"\bpodium((?: (?!podium\b)[a-z][a-z-]*)+)")


class _Typed(NamedTuple):
    """The options typed, name -> value, and the words of each verb that has some of them -> their names."""

    options: Mapping[str, str]
    verbs: Mapping[str, frozenset[str]]


_typed: ContextVar[_Typed | None] = ContextVar("typed", default=None)


def forget() -> None:
    """Nothing was typed yet: the process begins a verb."""
    _typed.set(None)


def remember(context: typer.Context, name: str, value: object) -> None:
    """The verb of `context` was given `value` for the option `name` of `VARIABLES`, on its command line."""
    known = _typed.get()
    verbs = known.verbs if known is not None else dict(_verbs(context.find_root().command, ""))
    options = {**(known.options if known is not None else {}), name: str(value)}
    _typed.set(_Typed(options, verbs))


def _verbs(command: object, words: str) -> "list[tuple[str, frozenset[str]]]":
    """Each verb below `command` with the names of those of its options that say which plane."""
    inner: dict[str, object] = getattr(command, "commands", {})
    found = [pair for name, each in inner.items() for pair in _verbs(each, f"{words} {name}")]
    options = {str(each.name): each for each in getattr(command, "params", ())}
    ours = frozenset(name for name, each in options.items() if each.envvar == VARIABLES.get(name, ""))
    return [*found, (words, ours)] if ours else found


def advised(text: str) -> str:
    """`text` with what was typed in every podium command of it that takes it, right after the verb."""
    known = _typed.get()
    found = list(_COMMAND.finditer(text))
    if known is None or not found:
        return text
    ends = [*(match.start() for match in found[1:]), len(text)]
    parts = [text[: found[0].start()]]
    for match, end in zip(found, ends, strict=True):
        rest = text[match.start() : end]
        verb = _longest(match[1], known.verbs)
        named = any(option in rest for option in ("--data", "--plane", "--help"))
        options = "" if named or not verb else _options(known.options, known.verbs[verb])
        place = len("podium") + len(verb)
        parts.append(rest[:place] + options + rest[place:])
    return "".join(parts)


def _longest(words: str, verbs: Mapping[str, frozenset[str]]) -> str:
    """The verb that `words` begin with; "" if it is none of `verbs`."""
    while words and words not in verbs:
        words = words.rpartition(" ")[0]
    return words


def _options(typed: Mapping[str, str], taken: frozenset[str]) -> str:
    """What is put after a verb that takes `taken`: the address that was typed goes before the directory."""
    wanted = ("plane", "token_file") if typed.get("plane") else ("data",)
    if wanted[0] not in taken:
        return ""
    return "".join(
        f" --{name.replace('_', '-')} {shlex.quote(typed[name])}" for name in wanted if name in taken and name in typed
    )
