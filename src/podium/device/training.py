"""From a base version to a signed report: runs the plan, subtracts the base, seals, signs.

Decides: what an update is (contracts: trained minus base, float32 per tensor, canonical names) and what of a failing
plan is told. Never: talks to the plane (lease.py), nor judges values: a NaN is sent as it is, the plane refuses it.
A plan is foreign code: whatever it raises becomes `DeviceFault(plan-raised)` with a bounded traceback, and the agent
goes on. Limits: one plan at a time, in this process and thread.
"""

import contextlib
import hashlib
import secrets
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from podium.crypto.seal import seal_frames, seal_key, update_info
from podium.crypto.sign import sign
from podium.device.plan import Datasets, PlanConfig, Progress, Result, granted
from podium.device.state import Pending
from podium.device.trust import Work, untrue
from podium.wire.canonical import b64, canonical, decimal, unb64
from podium.wire.limits import Limits
from podium.wire.messages import Metric, Report, TensorSpec
from podium.wire.problems import DeviceFault
from podium.wire.tensors import read_arrays, specs_of_arrays, update_specs, write_arrays

Arrays = Mapping[str, NDArray[np.generic]]


class PlanRaised(DeviceFault):
    """A plan failed; `detail` is its traceback, the last `traceback_bytes_max` bytes of it."""

    def __init__(self, plan: str, detail: str) -> None:
        super().__init__("plan-raised", what=f"plan {plan} failed", why=detail.rstrip().rpartition("\n")[2])
        self.detail = detail


class Supervised:
    """The one place where foreign code runs: inside, anything that it raises, short of an interruption, is its own."""

    def __init__(self, plan: str, limits: Limits) -> None:
        self._plan = plan
        self._bytes_max = limits.traceback_bytes_max

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception | SystemExit):
            text = "".join(traceback.format_exception(error)).encode("utf-8", "replace")
            raise PlanRaised(self._plan, text[-self._bytes_max :].decode("utf-8", "ignore")) from error


def open_base(work: Work, data: bytes) -> Arrays:
    """The tensors of the base version in `data` (its digest is checked already), if they are what the manifest says."""
    what = f"open base version {work.manifest.base}"
    try:
        arrays = read_arrays(data)
    except ValueError as error:
        raise untrue(what, str(error)) from error
    if _by_name(specs_of_arrays(arrays)) != _by_name(work.manifest.tensors):
        raise untrue(what, "its tensors differ from those that the manifest lists")
    for array in arrays.values():
        # A plan that trained in place would send zeros: it must not be able to.
        array.setflags(write=False)
    return arrays


def run_plan(work: Work, base: Arrays, data: Datasets, tell: Callable[[Progress], None], limits: Limits) -> Result:
    """Run the plan of `work` on `base` and the datasets that its task names, passing each `Progress` on to `tell`.

    `PlanRaised` for whatever goes wrong in the plan; what `tell` raises ends the plan (its generator is closed) and
    passes.
    """
    supervised = Supervised(work.plan.name, limits)
    config = PlanConfig(
        local=dict(work.task.local),
        round=work.manifest.round,
        seed=work.task.run.seed,
        task=work.task.task.name,
        kind=work.task.task.kind,
    )
    with supervised:
        steps = iter(work.plan.function(base, granted(data, work.task.data.datasets), config))
    with contextlib.ExitStack() as stack:
        stack.callback(_close, steps, supervised)
        while isinstance(item := _next(steps, supervised), Progress):
            tell(item)
        return item


def _next(steps: Iterator[Progress | Result], supervised: Supervised) -> Progress | Result:
    """The plan's next word; `PlanRaised` also for anything that is no word of a plan."""
    with supervised:
        item = next(steps, None)
        if not isinstance(item, Progress | Result):
            raise TypeError(f"a plan yields Progress and one Result last, not {type(item).__name__}")
    return item


def finished(work: Work, base: Arrays, result: Result, seed: bytes, told: tuple[int, int]) -> tuple[Pending, bytes]:
    """The sealed update (b"" of an evaluation) and the signed report of `result`.

    `seed`: the device's Ed25519 seed. `told`: (steps done, bytes moved) so far. `ValueError`, `KeyError` and
    `TypeError` if the result is not what a plan must give.
    """
    offer, manifest = work.offer, work.manifest
    sealed, sealed_key = b"", ""
    if work.task.task.kind == "train":
        content_key = secrets.token_bytes(32)
        sealed = b"".join(seal_frames(content_key, write_arrays(_update(manifest.tensors, base, result))))
        if len(sealed) > manifest.upload.bytes_max:
            raise ValueError(f"the update has {len(sealed)} bytes, at most {manifest.upload.bytes_max} are taken")
        info = update_info(offer.lease, manifest.base)
        sealed_key = b64(seal_key(unb64(manifest.upload.public_key), content_key, info))
    elif result.weights is not None:
        raise ValueError("an evaluation gives no weights")
    report = Report(
        lease=offer.lease,
        task_digest=manifest.task_digest,
        base=manifest.base,
        encoding=manifest.upload.encoding,
        sha256=hashlib.sha256(sealed).hexdigest(),
        length=len(sealed),
        sealed_key=sealed_key,
        steps_done=told[0],
        weight=decimal(float(result.weight)),
        metrics={
            name: Metric(numerator=decimal(float(above)), denominator=decimal(float(below)))
            for name, (above, below) in result.metrics.items()
        },
    )
    signed = sign(seed, "report", canonical(report))
    pending = Pending(
        lease=offer.lease,
        report=signed,
        stall_ms=offer.stall_ms,
        steps_done=told[0],
        moved_bytes=told[1],
    )
    return pending, sealed


def _update(tensors: Sequence[TensorSpec], base: Arrays, result: Result) -> dict[str, NDArray[np.float32]]:
    """Trained minus base of every float tensor, float32, in the manifest's names."""
    if result.weights is None:
        raise ValueError("a training gives weights")
    unknown = set(result.weights) - {spec.name for spec in tensors}
    if unknown:
        raise ValueError(f"the base version has no tensor {min(unknown)!r}")
    return {spec.name: _difference(spec, base, result.weights) for spec in update_specs(tensors)}


def _difference(spec: TensorSpec, base: Arrays, weights: Arrays) -> NDArray[np.float32]:
    before, after = base[spec.name], np.asarray(weights[spec.name])
    if after.shape != spec.shape:
        raise ValueError(f"tensor {spec.name!r} has shape {after.shape}, its base has {spec.shape}")
    # Doubles are subtracted before they are rounded: the difference of two near ones keeps its digits.
    kind = np.float64 if before.dtype == np.float64 or after.dtype == np.float64 else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        difference: NDArray[np.floating] = np.subtract(after.astype(kind, copy=False), before.astype(kind, copy=False))
        return difference.astype(np.float32, copy=False)


def _by_name(specs: Sequence[TensorSpec]) -> dict[str, tuple[tuple[int, ...], str]]:
    return {spec.name: (tuple(spec.shape), spec.dtype) for spec in specs}


def _close(steps: Iterator[Progress | Result], supervised: Supervised) -> None:
    """End the plan's generator now, so that what it holds is let go before the next lease."""
    close = getattr(steps, "close", None)
    if close is not None:
        with supervised:
            close()
