"""The house rules catch what they are for: each is fed something bad, and something good that looks like it."""

import textwrap
from collections.abc import Callable, Iterator

import pytest

from tests.tidy.rules import dead, habits, imports, ratchet, remains, sizes
from tests.tidy.rules.sources import Finding, Source

Rule = Callable[[Source], Iterator[Finding]]


def source(text: str, path: str = "src/podium/core/example.py") -> Source:
    return Source(path, textwrap.dedent(text))


def caught(rule: Rule, text: str, path: str = "src/podium/core/example.py") -> list[str]:
    return [each.rule for each in rule(source(text, path))]


def nested(depth: int) -> str:
    return (
        "def f(x):\n"
        + "".join("    " * (level + 1) + "if x:\n" for level in range(depth))
        + "    " * (depth + 1)
        + "g()\n"
    )


def statements(count: int, head: str) -> str:
    return head + "    x = 1\n" * count


ELIFS = "def f(x):\n    if x:\n        a()\n" + "    elif x:\n        a()\n" * 4
MIXED_BLOCKS = """
def f():
    with a:
        try:
            for x in y:
                while z:
                    g()
        finally:
            g()
"""
INNER_FUNCTION = """
def f(x):
    for a in x:
        if a:
            while a:
                def g():
                    if a:
                        h()
"""


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("x = 1\n" * 400, []),
        ("x = 1\n" * 401, ["file-lines"]),
        (statements(69, "def f():\n"), []),
        (statements(70, "def f():\n"), ["function-lines"]),
        (statements(70, "async def f():\n"), ["function-lines"]),
        (statements(249, "class A:\n"), []),
        (statements(250, "class A:\n"), ["class-lines"]),
        ("class A:\n    def f(self, a, b, c, d, e, f): ...\n", []),
        ("class A:\n    def f(self, a, b, c, d, e, f, g): ...\n", ["parameters"]),
        ("def f(a, /, b, c, *args, d, e, **more): ...\n", ["parameters"]),
        (nested(3), []),
        (nested(4), ["nesting"]),
        (ELIFS, []),
        (MIXED_BLOCKS, ["nesting"]),
        (INNER_FUNCTION, []),
    ],
)
def test_sizes(text: str, rules: list[str]) -> None:
    assert caught(sizes.sizes, text) == rules


@pytest.mark.parametrize(
    ("path", "line", "bad"),
    [
        ("src/podium/wire/a.py", "from podium.crypto import seal", True),
        ("src/podium/crypto/a.py", "from podium.wire import canonical", False),
        ("src/podium/kernels/a.py", "import podium.wire.limits", True),
        ("src/podium/learning/a.py", "from podium.kernels.sums import add", False),
        ("src/podium/core/a.py", "from podium.tasks.task import Task", False),
        ("src/podium/core/a.py", "from podium.learning import rules", True),
        ("src/podium/core/a.py", "from podium.ports import Clock", True),
        ("src/podium/core/rounds/a.py", "from ..rows import Row", False),
        ("src/podium/core/rounds/a.py", "from ...server import loop", True),
        ("src/podium/core/a.py", "def f():\n    from podium.server import loop", True),
        ("src/podium/ports/__init__.py", "from podium.core.rows import Row", True),
        ("src/podium/ports/plane.py", "from podium.core.rows import Row", False),
        ("src/podium/adapters/a.py", "from podium.core.rows import Row", False),
        ("src/podium/adapters/a.py", "from podium.core.step import Core", True),
        ("src/podium/device/a.py", "from podium.ports import Keys", False),
        ("src/podium/device/a.py", "from podium.ports.plane import Store", True),
        ("src/podium/device/a.py", "from podium.ports import plane", True),
        ("src/podium/device/a.py", "from podium.core.rows import Row", True),
        ("src/podium/device/a.py", "from podium.adapters.keys import FileKeys", True),
        ("src/podium/server/a.py", "from podium.cli import main", True),
        ("src/podium/server/a.py", "from podium.sim import faults", True),
        ("src/podium/sim/a.py", "from podium.core.step import Core", False),
        ("src/podium/cli/a.py", "from podium.server import app", False),
        ("src/podium/cli/a.py", "from podium import __version__", False),
        ("src/podium/server/a.py", "from podium import Plane", True),
        ("src/podium/server/a.py", "from podium.plane.link import OperatorLink", True),
        ("src/podium/elsewhere/a.py", "", True),
    ],
)
def test_import_law(path: str, line: str, bad: bool) -> None:
    assert caught(imports.law, line, path) == (["import-law"] if bad else [])


@pytest.mark.parametrize(
    ("path", "line", "bad"),
    [
        ("src/podium/core/a.py", "import numpy as np", False),
        ("src/podium/core/a.py", "import cel_expr_python", True),
        ("src/podium/core/selection/rules.py", "import cel_expr_python", False),
        ("src/podium/core/selection/rules.py", "from google.protobuf import any_pb2", True),
        ("src/podium/core/selection/expressions.py", "from google.protobuf import any_pb2", False),
        ("src/podium/wire/messages.py", "import safetensors", True),
        ("src/podium/wire/tensors.py", "from safetensors.numpy import save", False),
        ("src/podium/kernels/a.py", "from safetensors.numpy import save", False),
        ("src/podium/wire/a.py", "from cryptography.hazmat import x", True),
        ("src/podium/crypto/a.py", "from nacl.signing import SigningKey", False),
        ("src/podium/device/a.py", "import uvicorn", True),
        ("src/podium/server/a.py", "import uvicorn", False),
        ("src/podium/core/a.py", "import bisect", False),
    ],
)
def test_third_party(path: str, line: str, bad: bool) -> None:
    assert caught(imports.third_party, line, path) == (["third-party"] if bad else [])


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "import os.path",
        "from datetime import datetime",
        "import asyncio",
        "from threading import Lock",
        "import logging",
        "import io",
        "import secrets",
        "import socket",
        "from numpy import random",
        "from numpy.random import default_rng",
        "def f():\n    import random",
        "x = np.random.default_rng(1)",
        "open('x')",
        "x = hash('a')",
    ],
)
def test_purity(line: str) -> None:
    for room in imports.DECISION_ROOMS:
        assert caught(imports.purity, line, f"src/podium/{room}/a.py") == ["purity"]
    assert caught(imports.purity, line, "src/podium/server/a.py") == []


def test_entropy_is_passed_into_crypto() -> None:
    assert caught(imports.purity, "import os", "src/podium/crypto/a.py") == ["purity"]
    assert caught(imports.purity, "import hashlib", "src/podium/crypto/a.py") == []


def test_import_cycles() -> None:
    a = source("from podium.core import b", "src/podium/core/a.py")
    b = source("from podium.core.c import x", "src/podium/core/b.py")
    c = source("from podium.core import a", "src/podium/core/c.py")
    later = source("def x():\n    from podium.core import a", "src/podium/core/c.py")
    assert [each.message for each in imports.cycles([a, b, c])] == ["podium.core.a <-> podium.core.b <-> podium.core.c"]
    assert not list(imports.cycles([a, b, later]))


def test_the_device_side_loads_nothing_of_the_plane() -> None:
    package = source("", "src/podium/__init__.py")
    main = source("from podium.cli import verbs", "src/podium/cli/main.py")
    verbs = source("import starlette\nfrom podium.core.rows import Row", "src/podium/cli/verbs.py")
    rows = source("", "src/podium/core/rows.py")
    messages = [each.message for each in imports.light([package, main, verbs, rows])]
    assert messages == [
        "loading podium.cli.main loads podium.core",
        "loading podium.cli.main loads podium.core.rows",
        "loading podium.cli.main loads starlette",
    ]
    lazy = source("def f():\n    import starlette", "src/podium/cli/verbs.py")
    assert not list(imports.light([package, main, lazy, rows]))
    greedy = source("from podium.server import plane", "src/podium/__init__.py")
    server = source("", "src/podium/server/plane.py")
    assert {each.where for each in imports.light([greedy, main, lazy, server])} == {"podium", "podium.cli.main"}


def test_the_command_line_loads_nothing_slow_before_a_verb_does() -> None:
    package, main = source("", "src/podium/__init__.py"), source("from podium.cli import v", "src/podium/cli/main.py")
    slow = source("import numpy as np\nfrom podium.device import link", "src/podium/cli/v.py")
    link = source("", "src/podium/device/link.py")
    device = source("import numpy", "src/podium/device/__init__.py")
    messages = [each.message for each in imports.light([package, main, slow, link, device])]
    assert messages == [f"loading podium.cli.main loads {name}" for name in ("numpy", "podium.device")]
    late = source("def f():\n    import numpy as np\n    from podium.device import link", "src/podium/cli/v.py")
    assert not list(imports.light([package, main, late, link, device]))


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("try:\n    f()\nexcept Exception:\n    g()\n", ["broad-except"]),
        ("try:\n    f()\nexcept (ValueError, BaseException) as error:\n    g(error)\n", ["broad-except"]),
        ("try:\n    f()\nexcept:\n    pass\n", ["broad-except", "empty-handler"]),
        ("try:\n    f()\nexcept ValueError:\n    ...\n", ["empty-handler"]),
        ("def f():\n    with suppress(Exception):\n        g()\n", ["broad-except"]),
        ("try:\n    f()\nexcept ValueError:\n    g()\n", []),
        ("try:\n    f()\nexcept BaseException:\n    g()\n    raise\n", []),
        ("try:\n    f()\nexcept BaseException:\n    if g():\n        raise\n", ["broad-except"]),
        ("with contextlib.suppress(KeyError):\n    g()\n", []),
    ],
)
def test_handlers(text: str, rules: list[str]) -> None:
    assert caught(habits.handlers, text) == rules


def test_a_supervised_place_may_catch_all_as_long_as_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(habits, "SUPERVISED", {"src/podium/core/example.py::f": "because"})
    catches = source("def f():\n    try:\n        g()\n    except Exception:\n        h()\n")
    assert not list(habits.handlers(catches))
    assert not list(habits.supervised_unused((catches,)))
    assert [each.rule for each in habits.supervised_unused((source("def f(): ..."),))] == ["broad-except"]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("def f(x: dict[str, Any]) -> None: ...", 1),
        ("x: typing.Mapping[str, list[Any]] = {}", 1),
        ("Facts = dict[str, typing.Any]", 1),
        ("def f(x: dict) -> dict: ...", 2),
        ("def f(x: dict[str, int]) -> list[Any]: ...", 0),
    ],
)
def test_any_dicts(text: str, count: int) -> None:
    assert caught(habits.any_dicts, text) == ["any-dict"] * count


def test_docstrings() -> None:
    text = '''\
    """A file that speaks."""
    def told():
        """Yes."""
        def inner(): ...
    def silent(): ...
    def _private(): ...
    class Shape:
        def __init__(self): ...
        def area(self): ...
        @area.setter
        def area(self, value): ...
    '''
    where = [each.where.rpartition("::")[2] for each in habits.docstrings(source(text))]
    assert where == ["silent", "Shape", "Shape.area"]
    assert caught(habits.docstrings, "x = 1") == ["docstring"]
    assert caught(habits.docstrings, "def f(): ...", "tests/unit/test_f.py") == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("class ClientView: ...", True),
        ("def f(worker_id): ...", True),
        ("nodes = 3", True),
        ("def f(self):\n    self.client = 1", True),
        ("x = uvicorn.Config(workers=1).workers", False),
        ("device = scope['client']", False),
        ("anode_current = 1", False),
    ],
)
def test_words(text: str, bad: bool) -> None:
    assert caught(habits.words, text) == (["foreign-word"] if bad else [])


@pytest.mark.parametrize(
    ("line", "rules"),
    [
        ("x = 1  # TO" + "DO later", ["reminder"]),
        ("FIX" + "ME: this", ["reminder"]),
        ("see /" + "home/somebody/notes.md", ["machine-path"]),
        ("cd /" + "work/main", ["machine-path"]),
        ("pip install --index-url https://py" + "pi.org/simple", ["machine-path"]),
        ("Copy" + "right (c) 2020 Somebody", ["vendored"]),
        ("GET /v1/root and https://example.org/home/x", []),
        ("hackney, todos and a workshop", []),
    ],
)
def test_remains(line: str, rules: list[str]) -> None:
    assert [each.rule for each in remains.remains("docs/page.md", line)] == rules


def test_vendored_folders() -> None:
    assert [each.rule for each in remains.remains("src/podium/_vendor/six.py", "")] == ["vendored"]


def test_silencers_are_counted() -> None:
    text = "a = 1  # no" + "qa: E501\nb = 2  # type: " + "ignore[misc]\nc = '# no" + "qa'\n"
    assert [each.value for each in remains.silencers(source(text))] == [2]


@pytest.mark.parametrize(
    ("comment", "bad"),
    [
        ("# x = compute(y)", True),
        ("# import numpy as np", True),
        ("# return self.total", True),
        ("# save(path)", True),
        ("# def f(x):\n#     return x", True),
        ("# for x in y:\n#     print(x)", True),
        ("# the total, in bytes", False),
        ("# O(n)", False),
        ("# leaf = SHA-256(0x00 || salt || record)", False),
        ("# nonce = prefix + counter + last", False),
        ("# return early", False),
        ("# bytes", False),
        ("# fmt: off", False),
    ],
)
def test_commented_code(comment: str, bad: bool) -> None:
    assert bool(caught(remains.commented_code, f"a = 1\n{comment}\nb = 2\n")) is bad


def test_dead_definitions() -> None:
    used = source(
        """
        LIMIT = 3
        FORGOTTEN = 4
        def helper(): return LIMIT
        def forgotten(): return forgotten()
        @app.command()
        def verb(): ...
        class Shape: ...
        def entry(): ...
        def named(): ...
        """,
        "src/podium/core/a.py",
    )
    user = source("from podium.core.a import Shape, helper\nx_total = [helper(), 'Shape | None']\nx_total.sort()")
    test = source("from podium.core.a import FORGOTTEN, forgotten\nforgotten(FORGOTTEN)", "tests/unit/test_a.py")
    tool = source("SEEN = 1", "src/podium/core/seen.py"), source("print(seen.SEEN)", "tools/show.py")
    assert not list(dead.dead(tool))
    found = dead.dead([used, user, test], ['plan = "podium.core.a:named"', 'podium = "podium.core.a:entry"'])
    assert [each.where.rpartition("::")[2] for each in found] == ["FORGOTTEN", "forgotten"]


def test_what_is_kept_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        dead, "KEPT", {"src/podium/core/example.py::gone": "because", "src/podium/core/example.py::f": ""}
    )
    assert [each.where for each in dead.kept_without_need([source("def f(): ...")])] == [
        "src/podium/core/example.py::gone"
    ]


def test_the_ratchet_only_shrinks() -> None:
    owned = {"nesting": {"a": 5, "b": 4}, "dead": {"c": 1}}
    same = [Finding("nesting", "a", "", 5), Finding("nesting", "b", "", 4), Finding("dead", "c", "")]
    assert ratchet.complaints(same, owned) == []
    worse = [Finding("nesting", "a", "deeper", 6), *same[1:]]
    assert ratchet.complaints(worse, owned) == ["nesting: a: deeper"]
    twice = [*same, Finding("dead", "c", "again")]
    assert len(ratchet.complaints(twice, owned)) == 2
    better = [Finding("nesting", "a", "", 4), same[2]]
    assert ratchet.complaints(better, owned) == [
        "nesting: a: the ratchet says 5, it is 4: lower it",
        "nesting: b: the ratchet says 4, it is 0: lower it",
    ]
    assert ratchet.lowered(owned, ratchet.levels(better)) == {"nesting": {"a": 4}, "dead": {"c": 1}}
    assert ratchet.lowered(owned, ratchet.levels(worse)) == owned
