"""The bench of admission: every size of a batch in both moments, and the devices that fit find their round."""

import pytest

from bench import _admission
from podium.core.fleet.columns import Fleet


def test_every_size_has_a_row_in_both_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DEVICES", 2_000), ("LIVE", (1, 8)), ("SIMULATED", 64), ("ROWS", 128), ("REPEATS", 1)):
        monkeypatch.setattr(_admission, name, value)
    rows = list(_admission.rows())
    assert [row["name"] for row in rows] == [
        f"admit-{name}"
        for moment in ("idle", "wanted")
        for name in (f"live-{moment}-1", f"live-{moment}-8", f"sim-{moment}")
    ]
    assert [row["target"] for row in rows] == [10.0, 10.0, 0.8] * 2
    assert all(float(str(row["value"])) > 0 for row in rows)


def test_a_fifth_of_the_devices_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_admission, "DEVICES", 2_000)
    core = _admission.core_of(True)
    (event,) = _admission.check_ins(60_000, 1)[:1]
    core.step(event)
    work = core.state.open["r", 1]
    assert len(event.at) == 2_000, "each device once"
    assert 0.15 < work.nominees / 2_000 < 0.25
    bare = _admission.bare_pass(_admission.enrolled(Fleet()), event)
    assert bare == work.nominees, "the bare pass asks for the same"
