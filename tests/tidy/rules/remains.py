"""What should not have been left behind: reminders, dead code in comments, machines' paths, others' code, silencers."""

import ast
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator

from tests.tidy.rules.sources import Finding, Source

REMINDER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/}>-])/(?:home|root|work|opt|Users|tmp)/\w")
REGISTRY = re.compile(r"(?:pypi|npmjs|pythonhosted|anaconda)\.(?:org|com)")
FOREIGN_FOLDER = re.compile(r"(?:^|/)_?(?:vendor|vendored|third_party|extern)/")
COPYRIGHT = re.compile(r"^\W*copyright\W+(?:c\W|\d{4})", re.IGNORECASE | re.MULTILINE)
SILENCER = re.compile(r"#\s*(?:type:\s*ignore|noqa(?!: BLE001 )|pragma:\s*no)", re.IGNORECASE)
"""Not `noqa: BLE001`: a broad except is judged by the list of supervised places."""
CODE = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Delete, ast.Assert)
BLOCK = (ast.If, ast.For, ast.While, ast.With, ast.Try)


def remains(path: str, text: str) -> Iterator[Finding]:
    """Reminders, paths of one machine, registry hosts and vendored code in one text file."""
    for number, line in enumerate(text.splitlines(), 1):
        if REMINDER.search(line):
            yield Finding("reminder", path, f"line {number}: {line.strip()}")
        if MACHINE_PATH.search(line) or REGISTRY.search(line):
            yield Finding("machine-path", path, f"line {number}: {line.strip()}")
    if FOREIGN_FOLDER.search(path) or COPYRIGHT.search(text):
        yield Finding("vendored", path, "holds somebody else's code")


def silencers(source: Source) -> Iterator[Finding]:
    """Comments that silence a checker; their number per file is the finding's value."""
    count = sum(1 for _, text in comments(source.text) if SILENCER.search(text))
    if count:
        yield Finding("silencer", source.path, f"{count} comments silence a checker", count)


def comments(text: str) -> Iterator[tuple[int, str]]:
    """(line, comment) of every comment."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def commented_code(source: Source) -> Iterator[Finding]:
    """Comments, whole blocks or single lines of their own, that are Python statements rather than prose."""
    lines = source.text.splitlines()
    block: list[str] = []
    last = 0
    for number, text in [*comments(source.text), (len(lines) + 2, "")]:
        own_line = number <= len(lines) and lines[number - 1].lstrip().startswith("#")
        if own_line and is_code(text.lstrip("#")):
            yield Finding("commented-code", source.path, f"line {number}: {text}")
        if own_line and (not block or number == last + 1):
            block.append(text[1:])
        else:
            if len(block) > 1 and is_code("\n".join(block)):
                yield Finding("commented-code", source.path, f"the {len(block)} lines before line {last + 1}")
            block = [text[1:]] if own_line else []
        last = number


def is_code(text: str) -> bool:
    """Whether `text` reads as Python somebody switched off: a guess that lets prose and formulas through."""
    try:
        body = ast.parse(textwrap.dedent(text).strip()).body
    except SyntaxError:
        return False
    return any(_statement(each) for each in body)


def _statement(element: ast.stmt) -> bool:
    if isinstance(element, (*CODE, *BLOCK)):
        return True
    if isinstance(element, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)):
        value = element.value
        return value is not None and any(isinstance(each, (ast.Call, ast.Attribute)) for each in ast.walk(value))
    if isinstance(element, ast.Raise):
        return isinstance(element.exc, ast.Call)
    if isinstance(element, ast.Expr) and isinstance(element.value, (ast.Call, ast.Await, ast.Yield)):
        return len(ast.unparse(element.value).partition("(")[0]) > 1
    return False
