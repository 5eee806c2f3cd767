"""The Engine port in this process: opens, checks and adds sealed updates, and finishes the next version.

Decides: whether an update is what its lease promised, in this order: length and SHA-256 of the sealed bytes, seal,
schema, finite, value bound, norm bound, weight, metrics. Never: who may report, which updates count (the core), nor
when keys die (the shell). It is the only place where an update stands in the clear, and it keeps none.
Memory: per open round one sum (8 bytes per parameter) and one code per lease; while judging, two copies of one update.
What an update may take is bounded by the base's shapes and `update_bytes_max` before any of it is read.
A crash loses the sums; judging the same leases again gives the same bits (kernels/sums.py), so nothing else is kept.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from podium.core.events import Verdict
from podium.core.rows import LeaseRow
from podium.crypto.seal import FRAME_BYTES, open_frames, open_key, sealed_length, update_info
from podium.kernels.checks import measure
from podium.kernels.sums import Grid, Scratch, choose_grid, make_scratch
from podium.learning import fedavg
from podium.learning.names import cohort_max, is_weighted
from podium.learning.server import sgd
from podium.ports import Blobs, Keys
from podium.ports.plane import Arrays, RoundWork
from podium.wire.canonical import decode_canonical, parse_decimal, unb64
from podium.wire.limits import Limits
from podium.wire.messages import ENCODING_F32, Metric, Report, TensorSpec
from podium.wire.problems import Bug, DeviceFault
from podium.wire.tensors import read_arrays, specs_of, specs_of_arrays, update_bytes_max, update_specs

METRIC_ABS_MAX = 1e100
"""A larger numerator or denominator is no measurement; a million of these still add up within float64."""

Update = dict[str, NDArray[np.float32]]


@dataclass
class _Open:
    """One round under way. `sum` is None for an evaluation, which adds no tensors; `specs`: what an update holds."""

    base: str
    specs: tuple[TensorSpec, ...]
    plain_bytes_max: int
    grid: Grid
    sum: fedavg.State | None
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def added(self) -> frozenset[str]:
        """The leases whose updates are in the sum."""
        return frozenset(lease for lease, verdict in self.verdicts.items() if not verdict.code)


class LocalEngine:
    """The aggregation role in one process. One thread calls it."""

    def __init__(self, blobs: Blobs, keys: Keys, limits: Limits) -> None:
        self._blobs = blobs
        self._keys = keys
        self._limits = limits
        self._rounds: dict[tuple[str, int], _Open] = {}
        self._scratch: Scratch = make_scratch()
        self._norm = -1.0  # of the update being judged, once it is known

    def judge(self, work: RoundWork, lease: LeaseRow, sealed: Iterator[bytes]) -> Verdict:
        """Open, check and add the update of `lease`; `sealed` are its chunks in order, none for an evaluation.

        The verdict's code is "" or whose rule the device broke. Judging again answers the same and reads nothing.
        `StoreFault(key-erased)` if the upload key is gone. `Bug` if more arrive than a round can grant.
        """
        opened = self._opened(work)
        known = opened.verdicts.get(lease.id)
        if known is not None:
            return known
        self._norm = -1.0
        try:
            self._take(work, opened, lease, sealed)
            verdict = Verdict(lease=lease.id, code="", norm=self._norm)
        except DeviceFault as fault:
            detail = ": ".join(filter(None, (fault.what, fault.why)))
            verdict = Verdict(lease=lease.id, code=fault.code, detail=detail, norm=self._norm)
        opened.verdicts[lease.id] = verdict
        return verdict

    def finish(self, work: RoundWork, leases: Sequence[str]) -> Arrays:
        """The next version's tensors: base + optimiser(mean) for floats, the base's for all others.

        An evaluation gives the base's own. `Bug` unless the sum holds exactly `leases`; `ValueError` if the whole
        weight is zero (no update), `OverflowError` if the result is not finite.
        """
        opened = self._opened(work)
        if opened.added() != frozenset(leases):
            raise Bug(
                f"round {work.round} of {work.run} would be finished over {len(leases)} leases that its sum is not"
            )
        if not leases:
            raise ValueError("the total weight is zero")
        base = read_arrays(self._blobs.get(work.base))
        if opened.sum is None:
            return base
        mean = fedavg.finish(opened.sum)
        lr = float(work.task.aggregate.optimizer.get("lr", 1.0))
        return {name: sgd(array, mean[name], lr) if name in mean else array for name, array in base.items()}

    def drop(self, run: str, round: int) -> None:
        """Forget a round's sum and verdicts; dropping what is not there is no error."""
        self._rounds.pop((run, round), None)

    def added(self, run: str, round: int) -> frozenset[str]:
        """The leases that the round's sum holds."""
        opened = self._rounds.get((run, round))
        return frozenset() if opened is None else opened.added()

    def _opened(self, work: RoundWork) -> _Open:
        key = (work.run, work.round)
        opened = self._rounds.get(key)
        if opened is None:
            opened = self._rounds[key] = self._open(work)
        if opened.base != work.base and work.task.round.mode == "sync":  # bases of a run have the same tensors
            raise Bug(f"round {work.round} of {work.run} changed its base from {opened.base} to {work.base}")
        return opened

    def _open(self, work: RoundWork) -> _Open:
        base = specs_of(self._blobs.get(work.base))
        specs = update_specs(base)
        grid = _grid(work)
        shapes = {spec.name: spec.shape for spec in specs}
        summed = fedavg.init(shapes, grid) if work.task.task.kind == "train" else None
        return _Open(work.base, specs, update_bytes_max(base), grid, summed)

    def _take(self, work: RoundWork, opened: _Open, lease: LeaseRow, sealed: Iterator[bytes]) -> None:
        """Check everything, then add; raises the `DeviceFault` of the first rule broken, and nothing was added."""
        report = decode_canonical(unb64(lease.report), Report)
        _check_names(report, lease, work)
        update: Update = {}
        if opened.sum is None:
            _drain(_Counted(sealed, report.length), report)
            if report.length:
                raise DeviceFault("size-mismatch", what="an evaluation uploads no tensors")
        else:
            plain = self._unsealed(work, opened, report, sealed)
            update = _parsed(plain, opened.specs)
            del plain
            self._check_values(update, work)
        weight = _checked_weight(report, work, opened.grid)
        _check_metrics(report.metrics, self._limits)
        if opened.sum is not None:
            _add(opened.sum, update, weight)

    def _unsealed(self, work: RoundWork, opened: _Open, report: Report, sealed: Iterator[bytes]) -> bytes:
        """The update in the clear; at most `report.length` sealed bytes are read, and that is bounded first."""
        allowed = min(sealed_length(opened.plain_bytes_max), self._limits.update_bytes_max)
        if report.length > allowed:
            what = f"{report.length} sealed bytes for an update of at most {allowed}"
            raise DeviceFault("update-too-large", what=what)
        private = self._keys.get(work.key_id)
        counted = _Counted(sealed, report.length)
        try:
            content_key = open_key(private, unb64(report.sealed_key), update_info(report.lease, report.base))
            plain = b"".join(open_frames(content_key, _frames(counted)))
        except DeviceFault:
            # Bytes that are not those reported explain a seal that does not open, so that is told first.
            _drain(counted, report)
            raise
        _drain(counted, report)
        return plain

    def _check_values(self, update: Update, work: RoundWork) -> None:
        aggregate = work.task.aggregate
        squared_norm = 0.0
        for name, values in sorted(update.items()):
            found = measure(values.reshape(-1), self._scratch)
            if not math.isfinite(found.abs_max):
                raise DeviceFault("not-finite", what=f"tensor {name} holds NaN or infinity")
            if found.abs_max > aggregate.value_abs_max:
                why = f"{found.abs_max:g} is above value_abs_max {aggregate.value_abs_max:g}"
                raise DeviceFault("value-bound", what=f"tensor {name}", why=why)
            squared_norm += found.squared_norm
        norm = self._norm = math.sqrt(squared_norm)
        if norm > aggregate.norm_max:
            raise DeviceFault("norm-bound", what=f"norm {norm:g}", why=f"it is above norm_max {aggregate.norm_max:g}")


def _grid(work: RoundWork) -> Grid:
    """The grid of a task's exact sums: a function of its terms alone, checked when the task was read."""
    aggregate, terms = work.task.aggregate, work.task.round
    cohort = cohort_max(terms.goal, terms.concurrency, work.task.select.over)
    weight_max = aggregate.weight_max if is_weighted(aggregate.steps) else 1.0
    return choose_grid(cohort, weight_max, aggregate.value_abs_max)


class _Counted:
    """Chunks as they pass: hashed, and never more of them than `length` bytes."""

    def __init__(self, chunks: Iterator[bytes], length: int) -> None:
        self._chunks = chunks
        self._length = length
        self.seen_bytes = 0
        self.sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunk = next(self._chunks)
        self.seen_bytes += len(chunk)
        if self.seen_bytes > self._length:
            raise DeviceFault("size-mismatch", what=f"more than the {self._length} sealed bytes reported are stored")
        self.sha256.update(chunk)
        return chunk


def _drain(counted: _Counted, report: Report) -> None:
    """Read what is left and hold length and SHA-256 against the report."""
    for _ in counted:
        pass
    if counted.seen_bytes != report.length:
        what = f"{counted.seen_bytes} sealed bytes are stored"
        raise DeviceFault("size-mismatch", what=what, why=f"the report says {report.length}")
    if counted.sha256.hexdigest() != report.sha256:
        what = f"the stored bytes have SHA-256 {counted.sha256.hexdigest()}"
        raise DeviceFault("digest-mismatch", what=what, why=f"the report says {report.sha256[:64]}")


def _frames(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """`chunks` cut again into sealed frames: a device may resume in the middle of one."""
    held = b""
    for chunk in chunks:
        held = held + chunk if held else chunk
        while len(held) >= FRAME_BYTES:
            yield held[:FRAME_BYTES]
            held = held[FRAME_BYTES:]
    if held:
        yield held


def _check_names(report: Report, lease: LeaseRow, work: RoundWork) -> None:
    if report.lease != lease.id:
        raise DeviceFault("lease-unknown", what=f"the report of {lease.id} names lease {report.lease}")
    if report.base != work.base:
        raise DeviceFault("base-mismatch", what=f"the report names base {report.base}", why=f"it is {work.base}")
    if report.encoding != ENCODING_F32 and work.task.task.kind == "train":
        raise DeviceFault("schema-mismatch", what=f"encoding {report.encoding!r}", why=f"{ENCODING_F32} is asked for")


def _parsed(plain: bytes, specs: Sequence[TensorSpec]) -> Update:
    """The update's tensors; `DeviceFault(schema-mismatch)` unless names, shapes and dtypes are exactly `specs`."""
    try:
        arrays = read_arrays(plain)
    except ValueError as error:
        raise DeviceFault("schema-mismatch", what="the update cannot be read", why=str(error)) from error
    found = {spec.name: spec for spec in specs_of_arrays(arrays)}
    wanted = {spec.name: spec for spec in specs}
    for name in sorted(found.keys() ^ wanted.keys()):
        what = f"tensor {name[:128]} is {'missing' if name in wanted else 'not of the base'}"
        raise DeviceFault("schema-mismatch", what=what)
    for name, spec in wanted.items():
        if found[name] != spec:
            what = f"tensor {name} is {found[name].dtype}{list(found[name].shape)}"
            raise DeviceFault("schema-mismatch", what=what, why=f"it has to be {spec.dtype}{list(spec.shape)}")
    return {name: array.astype(np.float32, copy=False) for name, array in arrays.items()}


def _checked_weight(report: Report, work: RoundWork, grid: Grid) -> float:
    """The weight that the sum takes: the reported one, or 1 where the mean is uniform."""
    aggregate = work.task.aggregate
    weight = parse_decimal(report.weight)
    if not 0 < weight <= aggregate.weight_max:
        what = f"the weight {report.weight} is not within (0, {aggregate.weight_max:g}]"
        raise DeviceFault("weight-bound", what=what)
    if not is_weighted(aggregate.steps):
        return 1.0
    try:
        grid.weight_units(weight)
    except ValueError as error:
        raise DeviceFault("weight-bound", what=str(error)) from error
    return weight


def _check_metrics(metrics: Mapping[str, Metric], limits: Limits) -> None:
    if len(metrics) > limits.report_metrics_max:
        what = f"{len(metrics)} metrics are more than {limits.report_metrics_max}"
        raise DeviceFault("metric-invalid", what=what)
    for name, metric in metrics.items():
        if not 0 < len(name) <= limits.name_chars_max:
            raise DeviceFault("metric-invalid", what=f"a metric's name has {len(name)} characters")
        try:
            top, bottom = parse_decimal(metric.numerator), parse_decimal(metric.denominator)
        except DeviceFault as fault:
            raise DeviceFault("metric-invalid", what=f"metric {name}", why=fault.why) from fault
        if abs(top) > METRIC_ABS_MAX or not 0 < bottom <= METRIC_ABS_MAX:
            why = f"it is {metric.numerator} over {metric.denominator}"
            raise DeviceFault("metric-invalid", what=f"metric {name} is no finite ratio", why=why)


def _add(state: fedavg.State, update: Update, weight: float) -> None:
    try:
        fedavg.add(state, update, weight)
    except ValueError as error:
        # Everything a device can get wrong was checked before: what is left is ours.
        raise Bug(f"a checked update could not be added: {error}") from error
