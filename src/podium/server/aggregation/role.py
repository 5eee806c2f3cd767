"""The aggregation role, in one worker thread: upload keys, manifests, verdicts on updates, sums, versions.

Decides: nothing that the core decides; it carries out the sends that answer no request and tells what it found. A job
that the store failed is done again with backoff; one that can never be done (`Unfinishable`) is told as such.
Everything is idempotent, so after a reload the core sends again what is open. Never: talks to a device.
Limits: one job at a time, at most one job per open lease and a few per open round; verdicts of one
`batch_ms` are told together. Source: architecture.md ("unseal, check content, aggregate").
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial

from podium.core.effects import AnySend, EndLease, EndRound, FinishRound, JudgeUpdate, PrepareRound
from podium.core.events import AggregateFailed, AggregateMade, ManifestMade, UpdatesJudged, Verdict
from podium.core.rows import LeaseRow, granting_round
from podium.core.state import State
from podium.ports.plane import Engine, RoundWork
from podium.server.aggregation.manifests import Notary, upload_key_name
from podium.server.loop.loop import MakeEvent
from podium.server.plane_data import Parts
from podium.wire.problems import Bug, DeviceFault, PodiumError, StoreFault
from podium.wire.tensors import write_arrays

log = logging.getLogger("podium.aggregation")

RETRY_FIRST_MS = 200
RETRY_MAX_MS = 10_000

Found = MakeEvent | Verdict | None
"""What a job tells: an event that lacks its time, a verdict, or nothing."""
Job = Callable[[], Found]
Served = tuple[str, int] | None
"""(run, number) of the open round that a job works for; None if it tidies up after one."""


class Unfinishable(Exception):
    """A round that can never be finished. `reason`: `base-lost` (the blob of its base is gone), `update-lost` (an
    update that was accepted before does not open again), `weight-zero`, `not-finite` (the next version is)."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(f"{reason}: {why}")
        self.reason = reason


class Aggregation:
    """Takes sends on the event loop's thread; works in its own. `tell` and `failed` are the loop's."""

    def __init__(self, parts: Parts, notary: Notary, make_engine: Callable[[], Engine]) -> None:
        self._parts = parts
        self._notary = notary
        self._make_engine = make_engine
        self._engine = make_engine()
        self._generation = 0
        self._verdicts: list[Verdict] = []
        self._lost: set[tuple[str, int]] = set()  # rounds of which an accepted update does not open again
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="podium-aggregation")
        self.tell: Callable[[MakeEvent], None] = lambda make: None
        self.failed: Callable[[PodiumError], None] = lambda error: None

    def reset(self) -> None:
        """The core was dropped: nothing under way counts; the sums are built anew."""
        self._generation += 1
        self._verdicts = []
        self._lost = set()
        self._engine = self._make_engine()

    def close(self) -> None:
        """Let the job under way end, drop the others."""
        self._generation += 1
        self._worker.shutdown(wait=True, cancel_futures=True)

    # -- on the event loop's thread --------------------------------------------------------------------------

    def take(self, send: AnySend, state: State) -> None:
        """Queue the job of `send`; the rows it needs are read now, from the core whose step is durable."""
        job: Job
        match send:
            case PrepareRound():
                task = state.runs[send.run].task
                job = partial(self._prepare, self._work(state, send.run, send.round, send.base), task)
            case JudgeUpdate():
                lease = state.lease(send.lease)
                work = self._work(state, lease.run, lease.round, lease.base, granting_round(lease.id))
                job = partial(self._judge, self._engine, self._lost, work, lease)
            case FinishRound():
                task = state.runs[send.run].task
                work = self._work(state, send.run, send.round, state.rounds[send.run, send.round].base)
                job = partial(self._finish, self._engine, self._lost, work, task, send.leases)
            case EndRound():
                job = partial(self._end_round, self._engine, send)
            case EndLease():
                job = partial(self._discard, send.lease)
            case _:
                raise Bug(f"the aggregation role was sent {send!r}")
        served = _round_served(send, state)
        # a round that ended meanwhile must not get a new upload key after its end
        self._start(job, served, lambda: served is None or served in state.open, 0)

    def _work(self, state: State, run: str, number: int, base: str, key_of: int = 0) -> RoundWork:
        """`key_of`: the round whose upload key it is, 0: the same."""
        task = state.tasks[state.runs[run].task].task
        return RoundWork(run=run, round=number, base=base, task=task, key_id=upload_key_name(run, key_of or number))

    def _start(self, job: Job, served: Served, wanted: Callable[[], bool], tries: int) -> None:
        loop = asyncio.get_running_loop()
        generation = self._generation

        def done(future: Future[Found]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended, future)

        def again() -> None:
            if wanted():
                self._start(job, served, wanted, tries + 1)

        def ended(future: Future[Found]) -> None:
            if generation == self._generation:
                self._ended(future, served, again, tries)

        self._worker.submit(job).add_done_callback(done)

    def _ended(self, future: Future[Found], served: Served, again: Callable[[], None], tries: int) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        if error is None:
            self._found(future.result())
        elif isinstance(error, Unfinishable):
            self._give_up(served, error.reason)
        elif isinstance(error, DeviceFault) and error.code == "not-found" and served is not None:
            self._give_up(served, "base-lost")
        elif isinstance(error, StoreFault) and error.code == "key-erased":
            self._give_up(served, "key-erased")
        elif isinstance(error, StoreFault):
            log.error("the store failed the aggregation role", extra={"code": error.code, "why": error.why})
            delay_ms = min(RETRY_MAX_MS, RETRY_FIRST_MS << min(tries, 8))
            asyncio.get_running_loop().call_later(delay_ms / 1000, self._if_current(again))
        else:
            run, number = served or ("", 0)
            log.critical("the aggregation role broke", exc_info=error, extra={"run": run, "round": number})
            self.failed(error if isinstance(error, PodiumError) else Bug(repr(error)))

    def _if_current(self, call: Callable[[], None]) -> Callable[[], None]:
        generation = self._generation

        def current() -> None:
            if generation == self._generation:
                call()

        return current

    def _give_up(self, served: Served, reason: str) -> None:
        if served is None:
            raise Bug(f"what serves no round cannot be given up for {reason}")
        run, number = served
        log.error("round cannot be finished", extra={"run": run, "round": number, "code": reason})
        self.tell(lambda at: AggregateFailed(at_ms=at, run=run, round=number, reason=reason))

    def _found(self, found: Found) -> None:
        if isinstance(found, Verdict):
            self._verdicts.append(found)
            if len(self._verdicts) == 1:
                delay_s = self._parts.limits.batch_ms / 1000
                asyncio.get_running_loop().call_later(delay_s, self._if_current(self._tell_verdicts))
        elif found is not None:
            self.tell(found)

    def _tell_verdicts(self) -> None:
        verdicts, self._verdicts = tuple(self._verdicts), []
        self.tell(lambda at: UpdatesJudged(at_ms=at, verdicts=verdicts))

    # -- in the worker thread --------------------------------------------------------------------------------

    def _prepare(self, work: RoundWork, task_digest: str) -> Found:
        manifest = self._notary.manifest(work, task_digest)
        return lambda at: ManifestMade(at_ms=at, run=work.run, round=work.round, manifest=manifest, key_id=work.key_id)

    def _judge(self, engine: Engine, lost: set[tuple[str, int]], work: RoundWork, lease: LeaseRow) -> Found:
        verdict = engine.judge(work, lease, self._parts.blobs.chunks(lease.id))
        if (
            verdict.code and lease.state == "ACCEPTED"
        ):  # read again after a reload, and its bytes are not what they were
            lost.add((work.run, work.round))
            raise Unfinishable("update-lost", f"lease {lease.id}: {verdict.code}: {verdict.detail}")
        return verdict

    def _finish(
        self,
        engine: Engine,
        lost: set[tuple[str, int]],
        work: RoundWork,
        task_digest: str,
        leases: tuple[str, ...],
    ) -> Found:
        if (work.run, work.round) in lost:
            return None  # `_judge` gave the round up
        if missing := frozenset(leases) - engine.added(work.run, work.round):
            what = f"{len(missing)} updates of round {work.run}.{work.round} wait to be read again"
            raise StoreFault("store-failed", what=what, retryable=True)
        try:
            arrays = engine.finish(work, leases)
        except OverflowError as error:
            raise Unfinishable("not-finite", str(error)) from error
        except ValueError as error:
            raise Unfinishable("weight-zero", str(error)) from error
        data = write_arrays(arrays)
        digest = self._parts.blobs.put(data)
        statement = self._notary.provenance(work, task_digest, digest, len(leases))
        return lambda at: AggregateMade(
            at_ms=at,
            run=work.run,
            round=work.round,
            digest=digest,
            size_bytes=len(data),
            statement=statement,
            leases=leases,
        )

    def _end_round(self, engine: Engine, send: EndRound) -> Found:
        engine.drop(send.run, send.round)
        for number in send.key_rounds:
            self._parts.keys.erase(upload_key_name(send.run, number))
        under = tuple(f"{send.run}.{number}." for number in send.key_rounds)
        for upload in self._parts.blobs.uploads():
            if upload.startswith(under) or upload in send.leases:
                self._parts.blobs.discard(upload)
        return None

    def _discard(self, lease: str) -> Found:
        self._parts.blobs.discard(lease)
        return None


def _round_served(send: AnySend, state: State) -> Served:
    match send:
        case JudgeUpdate():
            lease = state.lease(send.lease)
            return lease.run, lease.round
        case PrepareRound() | FinishRound():
            return send.run, send.round
    return None
