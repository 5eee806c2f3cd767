"""How a mutant of a guard is named and told from a reworded message."""

import json
from pathlib import Path

from tests.mutation.guards import forgiven, is_prose, survivor_name, survivors

DIFF = """# podium.core.rounds.leases.x_f__mutmut_3: survived
--- src/podium/core/rounds/leases.py
+++ src/podium/core/rounds/leases.py
@@ -1,3 +1,3 @@
 def f(left: int) -> None:
-    if left > 0:
+    if left >= 0:
         raise Missing("it is over")
"""


def test_a_survivor_is_named_by_its_function_and_change() -> None:
    name = survivor_name("podium.core.rounds.leases.x_f__mutmut_3", DIFF)
    assert name == "podium.core.rounds.leases.x_f: if left > 0: => if left >= 0:"
    assert not is_prose(name)


def test_a_reworded_message_is_prose_and_a_changed_code_is_not() -> None:
    assert is_prose('f: raise Missing("it is over") => raise Missing("XXit is overXX")')
    assert not is_prose('f: raise Missing("it is over") => raise Missing(None)')
    assert not is_prose('f: raise DeviceFault("lease-over") => raise DeviceFault("XXlease-overXX")')


def test_survivors_are_read_from_what_mutmut_left(tmp_path: Path) -> None:
    codes = {
        "a.x_f__mutmut_1": 1,
        "a.x_f__mutmut_2": 0,
        "a.x_f__mutmut_3": 33,
        "a.x_f__mutmut_4": None,
        "a.x_f__mutmut_5": -24,
    }
    (tmp_path / "a.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    assert survivors(tmp_path) == ["a.x_f__mutmut_2", "a.x_f__mutmut_3"]


def test_each_forgiven_guard_has_a_reason(tmp_path: Path) -> None:
    assert all(forgiven().values())
    (tmp_path / "list.toml").write_text('[[guard]]\nmutant = "f: a => b"\nreason = "the same thing"\n')
    assert forgiven(tmp_path / "list.toml") == {"f: a => b": "the same thing"}
