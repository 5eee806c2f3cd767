"""The Engine port's contract with really sealed updates: every refusal, exactness in any order, bounded memory."""

import hashlib
import itertools
import os
import random
import tracemalloc
from collections.abc import Iterator, Mapping

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from podium.adapters.blobs import MemoryBlobs
from podium.adapters.engine import LocalEngine
from podium.adapters.keys import MemoryKeys
from podium.core.rows import LeaseRow
from podium.crypto.seal import seal_frames, seal_key, update_info, upload_keypair
from podium.ports.plane import RoundWork
from podium.tasks.task import Aggregate, Head, ModelSource, Round, Task
from podium.wire.canonical import b64, canonical, decimal
from podium.wire.limits import Limits
from podium.wire.messages import ENCODING_F32, Metric, Report
from podium.wire.problems import Bug, StoreFault
from podium.wire.tensors import write_arrays

Arrays = Mapping[str, NDArray[np.generic]]
BASE: dict[str, NDArray[np.generic]] = {
    "w": np.array([[1.0, 2.0], [3.0, 4.0]], np.float32),
    "b": np.array(0.5, np.float32),
    "seen": np.array([7, 8], np.int64),
}
PRIVATE, PUBLIC = upload_keypair(bytes(range(32)))


def f32(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def update(a: float = 0.0, b: float = 0.0, c: float = 0.0, d: float = 0.0, bias: float = 0.0) -> Arrays:
    return {"w": f32(a, b, c, d).reshape(2, 2), "b": np.array(bias, np.float32)}


def task(kind: str = "train", goal: int = 4, **aggregate: object) -> Task:
    return Task(
        task=msgspec.convert({"name": "t", "plan": "p:f", "purpose": "test", "kind": kind}, Head),
        model=ModelSource(init="p:i"),
        round=Round(goal=goal),
        aggregate=msgspec.convert(aggregate, Aggregate),
    )


class Bench:
    """An engine with one base version and one upload key, and a device's side of reporting to it."""

    def __init__(self, terms: Task | None = None, base: Arrays = BASE, limits: Limits | None = None) -> None:
        self.blobs, self.keys = MemoryBlobs(), MemoryKeys()
        self.keys.put("key", PRIVATE)
        self.base = self.blobs.put(write_arrays(base))
        self.work = RoundWork(run="r", round=1, base=self.base, task=terms or task(), key_id="key")
        self.engine = LocalEngine(self.blobs, self.keys, limits or Limits())

    def reported(self, number: int, plain: bytes | None, **changes: object) -> tuple[LeaseRow, list[bytes]]:
        """The lease row and the chunks after a device sealed `plain` (None: an evaluation); `changes` to the report."""
        lease = f"r.1.{number}"
        content_key = hashlib.sha256(lease.encode()).digest()
        chunks = [] if plain is None else list(seal_frames(content_key, plain))
        report = Report(
            lease=lease,
            task_digest="sha256:" + "0" * 64,
            base=self.base,
            encoding=ENCODING_F32,
            sha256=hashlib.sha256(b"".join(chunks)).hexdigest(),
            length=sum(map(len, chunks)),
            sealed_key=b64(seal_key(PUBLIC, content_key, update_info(lease, self.base))),
            steps_done=1,
            weight="1",
            metrics={},
        )
        report = msgspec.structs.replace(report, **changes)
        return lease_row(lease, self.base, report), chunks

    def judge(self, number: int, arrays: Arrays | bytes | None, **changes: object) -> str:
        """The verdict's code on a really sealed update."""
        plain = arrays if arrays is None or isinstance(arrays, bytes) else write_arrays(arrays)
        row, chunks = self.reported(number, plain, **changes)
        return self.engine.judge(self.work, row, iter(chunks)).code


def lease_row(lease: str, base: str, report: Report) -> LeaseRow:
    return LeaseRow(
        id=lease, run="r", round=1, device="d", site="", base=base, state="REPORTED", reason="", generation=3, epoch=1,
        granted_ms=0, deadline_ms=1, ended_ms=-1, report=b64(canonical(report)), report_signature="",
        upload_bytes=report.length, weight=1.0, metrics={},
    )  # fmt: skip


# -- what is added ---------------------------------------------------------------------------------------------


def test_weighted_mean_by_hand() -> None:
    bench = Bench()
    assert bench.judge(1, update(1, -2, 0, 0.5, 1.0), weight="1") == ""
    assert bench.judge(2, update(3, 2, 4, 0.5, -1.0), weight="3") == ""
    made = bench.engine.finish(bench.work, ["r.1.2", "r.1.1"])
    # (1*1 + 3*3) / 4 = 2.5; (-2 + 6) / 4 = 1; 12 / 4 = 3; 0.5; bias (1 - 3) / 4 = -0.5
    assert made["w"].tolist() == [[3.5, 3.0], [6.0, 4.5]]
    assert made["b"].tolist() == 0.0
    assert made["b"].shape == ()
    assert made["seen"].tolist() == [7, 8]
    assert [made[name].dtype for name in ("w", "b", "seen")] == [np.float32, np.float32, np.int64]


def test_uniform_mean_ignores_the_weights() -> None:
    bench = Bench(task(steps=[{"rule": "mean", "weighted": False}]))
    assert bench.judge(1, update(1), weight="1") == ""
    assert bench.judge(2, update(4), weight="9999.5") == ""
    assert bench.engine.finish(bench.work, ["r.1.1", "r.1.2"])["w"].tolist() == [[3.5, 2.0], [3.0, 4.0]]


def test_server_learning_rate() -> None:
    bench = Bench(task(optimizer={"rule": "sgd", "lr": 0.5}))
    bench.judge(1, update(1, 2, 3, 4))
    assert bench.engine.finish(bench.work, ["r.1.1"])["w"].tolist() == [[1.5, 3.0], [4.5, 6.0]]


def test_other_float_types_of_the_base_keep_their_type() -> None:
    base: Arrays = {"h": np.array([1.0, 2.0], np.float16), "d": np.array([1.0], np.float64), "n": np.array([True])}
    bench = Bench(base=base)
    assert bench.judge(1, {"h": f32(0.5, -1.0), "d": f32(0.25)}) == ""
    made = bench.engine.finish(bench.work, ["r.1.1"])
    assert {name: (array.dtype.name, array.tolist()) for name, array in made.items()} == {
        "h": ("float16", [1.5, 1.0]),
        "d": ("float64", [1.25]),
        "n": ("bool", [True]),
    }


def test_order_changes_no_bit() -> None:
    rng = np.random.default_rng(3)
    updates = [(update(*rng.normal(size=5).astype(np.float32)), decimal(float(rng.integers(1, 900)))) for _ in range(6)]
    leases = [f"r.1.{n}" for n in range(6)]
    made = set()
    for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 24):
        bench = Bench()
        for n in order:
            assert bench.judge(n, updates[n][0], weight=updates[n][1]) == ""
        made.add(write_arrays(bench.engine.finish(bench.work, leases)))
    assert len(made) == 1


def test_an_evaluation_adds_no_tensors_and_keeps_the_base() -> None:
    bench = Bench(task("evaluate"))
    metrics = {"accuracy": Metric(numerator="7", denominator="9")}
    assert bench.judge(1, None, metrics=metrics, weight="9", encoding="") == ""
    assert bench.judge(2, b"tensors") == "size-mismatch"
    assert bench.judge(3, None, sha256="0" * 64) == "digest-mismatch"
    assert bench.judge(4, None, weight="0") == "weight-bound"
    assert bench.judge(5, None, metrics={"a": Metric(numerator="1", denominator="0")}) == "metric-invalid"
    assert bench.engine.added("r", 1) == {"r.1.1"}
    assert write_arrays(bench.engine.finish(bench.work, ["r.1.1"])) == write_arrays(BASE)


# -- what is refused, each with a really sealed update ---------------------------------------------------------

HALF = Metric(numerator="1", denominator="2")
NAN, INF = float("nan"), float("inf")
WRONG: dict[str, tuple[str, Arrays | bytes, dict[str, object]]] = {
    "missing tensor": ("schema-mismatch", {"w": f32(0, 0, 0, 0).reshape(2, 2)}, {}),
    "tensor too many": ("schema-mismatch", {**update(), "x": f32(1)}, {}),
    "integer tensor sent": ("schema-mismatch", {**update(), "seen": np.array([7, 8])}, {}),
    "another name": ("schema-mismatch", {"w": f32(0, 0, 0, 0).reshape(2, 2), "B": np.array(0.0, np.float32)}, {}),
    "another shape": ("schema-mismatch", {**update(), "w": f32(0, 0, 0, 0)}, {}),
    "scalar as vector": ("schema-mismatch", {**update(), "b": f32(0)}, {}),
    "float64": ("schema-mismatch", {**update(), "b": np.array(0.0)}, {}),
    "int32 of the same size": ("schema-mismatch", {**update(), "b": np.array(0, np.int32)}, {}),
    "no tensors": ("schema-mismatch", {}, {}),
    "no safetensors": ("schema-mismatch", b"\x80\x04K\x2a.", {}),
    "empty body": ("schema-mismatch", b"", {}),
    "another encoding": ("schema-mismatch", update(), {"encoding": "pickle"}),
    "NaN": ("not-finite", update(0, NAN), {}),
    "infinity": ("not-finite", update(bias=INF), {}),
    "minus infinity": ("not-finite", update(0, 0, -INF), {}),
    "value above the bound": ("value-bound", update(8.000001), {}),
    "value below minus the bound": ("value-bound", update(bias=-8.5), {}),
    "weight zero": ("weight-bound", update(), {"weight": "0"}),
    "weight negative": ("weight-bound", update(), {"weight": "-1"}),
    "weight above the bound": ("weight-bound", update(), {"weight": "10000.001"}),
    "weight that rounds to zero": ("weight-bound", update(), {"weight": "1e-9"}),
    "weight no decimal": ("body-malformed", update(), {"weight": "NaN"}),
    "metric over zero": ("metric-invalid", update(), {"metrics": {"a": Metric(numerator="1", denominator="0")}}),
    "metric over less": ("metric-invalid", update(), {"metrics": {"a": Metric(numerator="1", denominator="-2")}}),
    "metric not finite": ("metric-invalid", update(), {"metrics": {"a": Metric(numerator="inf", denominator="2")}}),
    "metric huge": ("metric-invalid", update(), {"metrics": {"a": Metric(numerator="1e+101", denominator="2")}}),
    "metric unnamed": ("metric-invalid", update(), {"metrics": {"": HALF}}),
    "metrics too many": ("metric-invalid", update(), {"metrics": {f"m{n}": HALF for n in range(65)}}),
    "another SHA-256": ("digest-mismatch", update(), {"sha256": "0" * 64}),
    "length too short": ("size-mismatch", update(), {"length": 10}),
    "length too long": ("size-mismatch", update(), {"length": 2000}),
    "length beyond the base": ("update-too-large", update(), {"length": 10**9}),
    "another lease in the report": ("lease-unknown", update(), {"lease": "r.1.99"}),
    "another base in the report": ("base-mismatch", update(), {"base": "sha256:" + "1" * 64}),
    "a key sealed for nobody": ("unseal-failed", update(), {"sealed_key": b64(b"\x01" + b"x" * 80)}),
    "no key at all": ("unseal-failed", update(), {"sealed_key": ""}),
    "key not base64url": ("body-malformed", update(), {"sealed_key": "=="}),
}


@pytest.mark.parametrize("case", WRONG)
def test_refused_with_its_code_and_nothing_added(case: str) -> None:
    code, arrays, changes = WRONG[case]
    bench = Bench()
    assert bench.judge(1, arrays, **changes) == code
    assert bench.engine.added("r", 1) == frozenset()
    assert bench.judge(2, update(1)) == ""
    assert bench.engine.finish(bench.work, ["r.1.2"])["w"].tolist() == [[2.0, 2.0], [3.0, 4.0]]


def test_bounds_themselves_are_within() -> None:
    bench = Bench(task(norm_max=16.0, weight_max=5.0))
    assert bench.judge(1, update(8, -8, 8, -8), weight="5") == ""  # the norm is exactly 16
    assert bench.judge(2, update(8, -8, 8, -8, 0.01)) == "norm-bound"
    assert bench.judge(3, update(), weight="5.000001") == "weight-bound"


def sealed_for(lease: str, base: str, public: bytes = PUBLIC) -> str:
    return b64(seal_key(public, hashlib.sha256(b"r.1.1").digest(), update_info(lease, base)))


def test_a_seal_bound_to_another_lease_base_or_key_does_not_open() -> None:
    bench = Bench()
    other_public = upload_keypair(os.urandom(32))[1]
    for n, sealed in enumerate(
        (
            sealed_for("r.1.2", bench.base),
            sealed_for("r.1.1", "sha256:other"),
            sealed_for("r.1.1", bench.base, other_public),
        )
    ):
        row, chunks = bench.reported(1, write_arrays(update()), sealed_key=sealed)
        verdict = bench.engine.judge(msgspec.structs.replace(bench.work, round=n + 2), row, iter(chunks))
        assert verdict.code == "unseal-failed"


def test_tampered_bytes_are_told_as_such() -> None:
    bench = Bench()
    row, chunks = bench.reported(1, write_arrays(update()))
    broken = bytearray(chunks[0])
    broken[5] ^= 1
    assert bench.engine.judge(bench.work, row, iter([bytes(broken)])).code == "digest-mismatch"
    row, chunks = bench.reported(2, write_arrays(update()))
    assert bench.engine.judge(bench.work, row, iter([chunks[0][:-1]])).code == "size-mismatch"
    row, _ = bench.reported(3, write_arrays(update()))
    assert bench.engine.judge(bench.work, row, iter([])).code == "size-mismatch"
    # honest about broken bytes: the report names the digest of what was broken, so only the seal can tell
    broken = bytearray(bench.reported(4, write_arrays(update()))[1][0])
    broken[5] ^= 1
    row, _ = bench.reported(4, write_arrays(update()), sha256=hashlib.sha256(broken).hexdigest())
    assert bench.engine.judge(bench.work, row, iter([bytes(broken)])).code == "unseal-failed"


def test_endless_chunks_are_not_read_past_the_reported_length() -> None:
    bench = Bench()
    row, chunks = bench.reported(1, write_arrays(update()))
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield from chunks
        while True:
            read += 1
            yield b"\0" * 1024

    assert bench.engine.judge(bench.work, row, endless()).code == "size-mismatch"
    assert read <= 2


def test_a_report_that_is_not_canonical_is_a_verdict_too() -> None:
    bench = Bench()
    row, chunks = bench.reported(1, write_arrays(update()))
    row = msgspec.structs.replace(row, report=b64(b"{}"))
    assert bench.engine.judge(bench.work, row, iter(chunks)).code == "body-malformed"


def test_the_plane_limit_bounds_the_update_as_well() -> None:
    bench = Bench(limits=Limits(update_bytes_max=64))
    assert bench.judge(1, update()) == "update-too-large"


# -- idempotence, erasure, memory ------------------------------------------------------------------------------


def test_judging_again_answers_the_same_and_reads_nothing() -> None:
    bench = Bench()
    row, chunks = bench.reported(1, write_arrays(update(1)))
    untouched = iter([b"never read"])
    assert bench.engine.judge(bench.work, row, iter(chunks)) == bench.engine.judge(bench.work, row, untouched)
    assert next(untouched) == b"never read"
    row, chunks = bench.reported(2, write_arrays(update(NAN)))
    refusal = bench.engine.judge(bench.work, row, iter(chunks))
    assert bench.engine.judge(bench.work, row, iter([])) == refusal
    assert bench.engine.added("r", 1) == {"r.1.1"}
    assert bench.engine.finish(bench.work, ["r.1.1"])["w"].tolist() == [[2.0, 2.0], [3.0, 4.0]]


def test_finish_over_other_leases_is_a_bug() -> None:
    bench = Bench()
    bench.judge(1, update(1))
    for leases in ([], ["r.1.2"], ["r.1.1", "r.1.2"]):
        with pytest.raises(Bug):
            bench.engine.finish(bench.work, leases)


def test_finish_without_an_update_has_no_weight() -> None:
    bench = Bench()
    bench.judge(1, update(NAN))
    with pytest.raises(ValueError, match="weight is zero"):
        bench.engine.finish(bench.work, [])


def test_drop_forgets_and_a_judge_after_it_starts_again() -> None:
    bench = Bench()
    bench.judge(1, update(1))
    bench.engine.drop("r", 1)
    bench.engine.drop("r", 1)
    assert bench.engine.added("r", 1) == frozenset()
    assert bench.judge(2, update(2)) == ""
    assert bench.engine.added("r", 1) == {"r.1.2"}


def test_rounds_do_not_mix() -> None:
    bench = Bench()
    bench.judge(1, update(1))
    other = msgspec.structs.replace(bench.work, round=2)
    row, chunks = bench.reported(2, write_arrays(update(4)))
    assert bench.engine.judge(other, row, iter(chunks)).code == ""
    assert bench.engine.finish(bench.work, ["r.1.1"])["w"].tolist() == [[2.0, 2.0], [3.0, 4.0]]
    assert bench.engine.finish(other, ["r.1.2"])["w"].tolist() == [[5.0, 2.0], [3.0, 4.0]]


def test_an_erased_key_is_not_the_devices_fault() -> None:
    bench = Bench()
    bench.keys.erase("key")
    row, chunks = bench.reported(1, write_arrays(update(1)))
    with pytest.raises(StoreFault) as caught:
        bench.engine.judge(bench.work, row, iter(chunks))
    assert caught.value.code == "key-erased"
    bench.keys.put("key", PRIVATE)
    assert bench.engine.judge(bench.work, row, iter(chunks)).code == "", "no verdict was kept"


def test_a_restarted_engine_makes_the_same_bits() -> None:
    bench = Bench()
    rows = [bench.reported(n, write_arrays(update(0.1 * n, bias=0.3))) for n in range(4)]
    for row, chunks in rows:
        bench.engine.judge(bench.work, row, iter(chunks))
    leases = [row.id for row, _ in rows]
    again = LocalEngine(bench.blobs, bench.keys, Limits())
    for row, chunks in reversed(rows):
        again.judge(bench.work, row, iter(chunks))
    assert write_arrays(again.finish(bench.work, leases)) == write_arrays(bench.engine.finish(bench.work, leases))


@pytest.mark.parametrize(("size", "frames"), [(700_000, 3), (262_120, 1)], ids=["several", "one full to the byte"])
def test_frames_and_any_cutting_into_chunks(size: int, frames: int) -> None:
    base: Arrays = {"w": np.zeros(size, np.float32)}
    values = np.random.default_rng(1).normal(size=size).astype(np.float32)
    bench = Bench(task(goal=8, norm_max=1e4), base=base)
    row, chunks = bench.reported(1, write_arrays({"w": values}))
    assert (len(chunks), len(chunks[0])) == (frames, 2**20)
    assert bench.engine.judge(bench.work, row, iter(chunks)).code == ""
    row, chunks = bench.reported(2, write_arrays({"w": values}))
    whole = b"".join(chunks)
    cuts = sorted(random.Random(5).sample(range(1, len(whole)), 20))
    pieces = [whole[a:b] for a, b in itertools.pairwise([0, *cuts, len(whole)])]
    assert bench.engine.judge(bench.work, row, iter(pieces)).code == ""
    assert np.allclose(bench.engine.finish(bench.work, ["r.1.1", "r.1.2"])["w"], values, atol=8 * 2**-23)


def test_memory_of_a_few_models_however_many_updates() -> None:
    size = 200_000
    base: Arrays = {"w": np.zeros(size, np.float32)}
    bench = Bench(task(goal=100), base=base)
    plain = write_arrays({"w": np.full(size, 0.125, np.float32)})
    row, chunks = bench.reported(0, plain)
    bench.engine.judge(bench.work, row, iter(chunks))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for n in range(1, 100):
        row, chunks = bench.reported(n, plain)
        assert bench.engine.judge(bench.work, row, iter(chunks)).code == ""
    del row, chunks
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    model = 4 * size
    assert after - before < model / 10, "what stays is one short verdict per lease"
    assert peak - before < 8 * model, "while judging: a few copies of one update, sealing included"
    made = bench.engine.finish(bench.work, [f"r.1.{n}" for n in range(100)])
    assert np.array_equal(made["w"], np.full(size, 0.125, np.float32))
