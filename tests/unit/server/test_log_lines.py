"""The table of log lines is what the server's code writes, and every field a line passes is one that is written."""

import ast
from collections.abc import Iterator
from pathlib import Path

import podium.server
from podium.server.logs import FIELDS, LINES

LEVELS = ("debug", "info", "warning", "error", "critical")
ROOT = Path(podium.server.__file__).parent


def written(source: str) -> Iterator[tuple[str, str, str, set[str]]]:
    """(logger, message, level, literal extra fields) of each call of the module's `log` with a literal message."""
    tree = ast.parse(source)
    name = ""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr == "getLogger" and isinstance(node.args[0], ast.Constant):
            name = name or str(node.args[0].value)
        is_line = node.func.attr in LEVELS and ast.unparse(node.func.value) == "log"
        if is_line and isinstance(node.args[0], ast.Constant):
            yield name, str(node.args[0].value), node.func.attr, _fields(node)


def _fields(call: ast.Call) -> set[str]:
    extras = [word.value for word in call.keywords if word.arg == "extra" and isinstance(word.value, ast.Dict)]
    return {str(key.value) for extra in extras for key in extra.keys if isinstance(key, ast.Constant)}


def every() -> list[tuple[str, str, str, set[str]]]:
    """All lines of the server."""
    return [line for path in sorted(ROOT.rglob("*.py")) for line in written(path.read_text())]


def test_the_table_is_what_the_code_writes() -> None:
    told = {(logger, message, level) for logger, message, level, _ in LINES if level in LEVELS}
    assert {(logger, message, level) for logger, message, level, _ in every()} == told


def test_every_field_that_a_line_passes_is_written() -> None:
    fields = [field for _, _, _, passed in every() for field in passed]
    assert len(fields) > 15
    assert set(fields) <= set(FIELDS)


def test_the_reader_of_lines_reads() -> None:
    source = 'log = logging.getLogger("a.b")\nlog.info("said", extra={"run": 1})\nother.info("not ours")\n'
    assert list(written(source)) == [("a.b", "said", "info", {"run"})]
