"""A page of the docs as one shell script: its files are written, its commands run in the page's order.

Decides: what a reader is taken to do. A ```sh block runs in the reader's terminal; one whose first line is
`# in another terminal` runs in a new one, which knows nothing of the first and begins where that began, and the reader
goes on once it has printed something. A block with a title (```python title="sums.py") is a file. Blocks of other kinds
are output or pictures, and are not run.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

_FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OTHER = "# in another terminal\n"
_PRELUDE = """set -eu -o pipefail
began=$PWD; mapfile -d '' -t fresh < <(env -0)
other() {
  log=$(mktemp "$began/terminal.XXXX"); (cd "$began"; exec env -i "${fresh[@]}" "$@") >"$log" 2>&1 &
  for _ in $(seq 300); do [ -s "$log" ] && break; sleep 0.1; done
  [ -s "$log" ] || { echo "the other terminal says nothing"; exit 1; }
}
"""


class Block(NamedTuple):
    """A fenced block: its language, its title ("" if none), its text, the line it begins on."""

    kind: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page."""
    text = page.read_text()
    return [
        Block(match[1], match[2] or "", match[3], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


def commands(page: Path) -> list[Block]:
    """Its shell blocks."""
    return [block for block in blocks(page) if block.kind == "sh"]


def script(page: Path) -> str:
    """What a reader does, as text for bash; the last command's failure is the script's."""
    parts = [_PRELUDE]
    for block in blocks(page):
        if block.title:
            parts.append(f"printf %s {shlex.quote(block.text)} > {shlex.quote(block.title)}\n")
        elif block.kind == "sh":
            parts.append(f"echo '== {page.name}:{block.line}'\n")
            other = block.text.startswith(OTHER)
            parts.append(f"other bash -euc {shlex.quote(block.text)}\n" if other else block.text)
    return "".join(parts)
