"""Random telemetry, well-formed or not, at the door and in the core: nothing raises but a fault with its code, and no
decision differs from the one that the clamped value gives, or that nothing told gives.

Two planes hear the same devices. One is told what the devices say, as far as the door lets it in; the other what an
oracle, one number at a time, makes of it. A counter each shows that the door refused with either code, that claims were
clamped, and that decisions went both ways.
"""

import math
from collections import Counter

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.core.events import CheckedIn
from podium.server.devices.device_words import check_telemetry
from podium.server.devices.gateway import decode
from podium.server.loop.batches import CheckinBatch
from podium.wire.facts import MOMENTARY, SWITCHES
from podium.wire.messages import CheckIn
from podium.wire.problems import DeviceFault
from tests.support.core_drive import Drive
from tests.support.core_made import Told, task, told_by

_DECODER = msgspec.json.Decoder(CheckIn)
ABSURD = st.sampled_from([-1.0, 7.0, 1e30, -1e30, 1e300, -1e-9, 2.0**63, 5e-324, 10**18, -(10**18)])
FAIR = st.sampled_from([0.0, 0.2, 0.5, 1, 1.0])
CLAIM = st.sampled_from([0.001, 0.9, 1.0, 4.0, 15.9, 17.0, 500.0, 499.0, 10_001.0, 1e6])
WRONG: st.SearchStrategy[object] = st.one_of(
    st.booleans(), st.text(max_size=3), st.lists(st.integers(), max_size=1), st.just({}), st.none()
)


def told_of(name: str) -> st.SearchStrategy[object]:
    """A value for fact `name`: mostly one that may pass, else absurd or of another type."""
    good = st.booleans() if name in SWITCHES else CLAIM if MOMENTARY[name].measured else FAIR
    return st.integers(0, 19).flatmap(lambda pick: ABSURD if pick == 0 else WRONG if pick == 1 else good)


FACTS = st.fixed_dictionaries({}, optional={name: told_of(name) for name in (*MOMENTARY, *SWITCHES)})
ROWS = st.lists(st.tuples(st.integers(0, 3), FACTS), min_size=1, max_size=10)
RULES = (
    {"when": "device.download_mb_s > 16.5"},
    {"when": "device.upload_mb_s < 0.6 || device.latency_ms < 300.0", "strategy": "oort"},
    {"when": "device.latency_ms <= 10000.0 && device.battery > 0.1"},
    {"strategy": "quality", "prefers": {"download_mb_s": 1.0, "latency_ms": 2.0, "battery": 0.5}, "over": 1.0},
    {"strategy": "power_of_choice", "when": "!device.metered && device.upload_mb_s >= 1.0"},
)


def plane(terms: dict[str, object]) -> Drive:
    """Devices 0 and 1 had 4 MB/s down and 2 MB/s up and answered after 5 s; nothing was measured of 2 and 3."""
    drive = Drive()
    drive.begin(task(goal=2, minimum=2, rounds=1), devices=4)
    drive.check_in(0, 1)
    drive.wake()
    leases = [drive.lease(0), drive.lease(1)]
    drive.wait(5_000)
    for lease in leases:
        drive.accept(lease)
        down, up = {"bytes": 8_000_000, "ms": 2_000}, {"bytes": 8_000_000, "ms": 4_000}
        drive.report(lease, metrics={"loss": (1.0, 2.0)}, downloaded=down, uploaded=up)
    drive.work()
    drive.begin(task(**{"goal": 2, "minimum": 1, "rounds": 1, **terms}), run="b")
    return drive


def let_in(told: dict[str, object], met: Counter[str]) -> CheckIn | None:
    """What the door makes of a body; None if it refuses it."""
    try:
        heard = decode(_DECODER, msgspec.json.encode(told))
        check_telemetry(heard)
    except DeviceFault as fault:
        met[fault.code] += 1
        return None
    return heard


def oracle(heard: CheckIn, device: int, met: Counter[str]) -> CheckIn:
    """What counts of it, one number at a time."""
    if device > 1:
        return heard
    bounds = {"download_mb_s": (1.0, 16.0), "upload_mb_s": (0.5, 8.0), "latency_ms": (500.0, 10_000.0)}
    counts: dict[str, float] = {}
    for name, (least, most) in bounds.items():
        value = getattr(heard, name)
        if value is not None and not least <= value <= most:
            counts[name] = min(max(value, least), most)
            met["clamped"] += 1
    return msgspec.structs.replace(heard, **counts)


def hear(drive: Drive, rows: list[tuple[int, CheckIn]]) -> list[Told]:
    """Each row checks in by itself; what it heard."""
    heard: list[Told] = []
    for device, told in rows:
        batch, ticket = CheckinBatch(), drive.ticket()
        batch.add(ticket, device, drive.epochs[device], told)
        event: CheckedIn = batch.event(drive.now_ms, 0)
        heard.append(told_by(drive.feed(event).sends)[ticket])
        drive.now_ms += 7
    return heard


def test_no_decision_differs_from_that_of_the_value_that_counts() -> None:
    met: Counter[str] = Counter()

    @settings(max_examples=45, derandomize=True, deadline=None)
    @given(ROWS, st.sampled_from(RULES))
    def holds(rows: list[tuple[int, dict[str, object]]], terms: dict[str, object]) -> None:
        entered = [(device, heard) for device, told in rows if (heard := let_in(told, met)) is not None]
        raw, clean = plane(terms), plane(terms)
        said = hear(raw, entered)
        assert said == hear(clean, [(device, oracle(heard, device, met)) for device, heard in entered])
        assert [each for each in raw.records if each.kind != "counted"] == [
            each for each in clean.records if each.kind != "counted"
        ]
        for name in MOMENTARY:
            told, counts = getattr(raw.state.fleet.telemetry, name), getattr(clean.state.fleet.telemetry, name)
            np.testing.assert_array_equal(told[:4], counts[:4])
        met.update(each.reason for each in said)
        met["doubted"] += any(raw.state.claims.doubt(device)[0] for device in range(4))
        assert not any(clean.state.claims.doubt(device)[0] for device in range(4))

    holds()
    cases = ("body-malformed", "fact-absurd", "clamped", "doubted", "when", "unknown-fact", "reserved")
    assert [case for case in cases if met[case] < 5] == [], met


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.dictionaries(st.sampled_from([*MOMENTARY, *SWITCHES]), st.one_of(ABSURD, WRONG, st.floats(), FAIR)))
def test_what_the_door_lets_in_is_finite_and_in_its_range(told: dict[str, object]) -> None:
    heard = let_in(told, Counter())
    if heard is None:
        return
    for name, span in MOMENTARY.items():
        value = getattr(heard, name)
        assert value is None or (math.isfinite(value) and span.least <= value <= span.most)
