"""What people and services may change on a running plane: one method per verb, and the view of what it led to.

Decides: which run, device, alias or credential a text names, and whether an ask holds before the core hears of it.
Never: what an act leads to (the core), nor how it was asked (HTTP or a page): nothing here knows a request.
Repeats: every act is idempotent by state (pausing what is paused, freezing what is frozen, moving an alias to where it
is, revoking what is revoked change nothing), but for two: `issue_service` makes another credential each time, and a
rollback that names no version goes back from wherever the alias is, unless its `counter` says how it stood. Starting
runs and making enrolment tokens is submission.py's.
Limits: `marked_devices_max`, `service_ms`, `name_chars_max`, `WHY_CHARS_MAX`.
"""

from msgspec.structs import replace

from podium.core.access import roles
from podium.core.access.services import lineage
from podium.core.effects import Answer
from podium.core.events import (
    AliasMoved,
    DevicesMarked,
    Frozen,
    RunPaused,
    RunResumed,
    RunStopped,
    ServiceIssued,
    ServiceRevoked,
    Unfrozen,
    VersionReleased,
)
from podium.core.rows import VersionRow
from podium.core.state import State
from podium.core.views.models import alias_view, release_view
from podium.core.views.plane import freeze_view, service_view
from podium.core.views.runs import run_view
from podium.crypto.release import ROLE as RELEASE
from podium.crypto.release import open_release
from podium.crypto.root import active_keys
from podium.server.devices.device_words import checked
from podium.server.devices.uploads import BlobRoom
from podium.server.identity import SECRET_BYTES
from podium.server.loop.loop import AskEvent, Loop
from podium.server.operators.marking import Marking, chosen
from podium.server.operators.naming import (
    Devices,
    find_alias,
    find_run,
    find_service,
    find_version,
    version_to_go_back_to,
)
from podium.server.operators.permission import denied, permit
from podium.server.plane_data import SERVICE_PREFIX, Parts, Who, token_hash
from podium.server.retention import check_kept
from podium.wire.asks import FreezeAsk, MarkAsk, PauseAsk, PromoteAsk, ReleaseAsk, RollbackAsk, ServiceAsk, StopAsk
from podium.wire.canonical import b64
from podium.wire.operator import AliasView, FreezeView, MarkDone, ReleaseView, RunView, ServiceMade, ServiceView
from podium.wire.problems import OperatorFault

WHY_CHARS_MAX = 256


class Acts:
    """Every changing verb but those of submission.py. Every method may also raise as `Loop.ask` does."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom, devices: Devices) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._devices = devices

    async def _tell(self, make: AskEvent) -> tuple[State, int]:
        """Let the core decide; the state and the time after it did. `DeviceFault` with the code of its refusal."""
        said: Answer = await self._loop.ask(make)
        checked(said)
        return self._loop.state, self._loop.now_ms()

    # -- runs ------------------------------------------------------------------------------------------------

    async def stop(self, actor: str, run: str, ask: StopAsk) -> RunView:
        """End a run; its last sealed version stays. run-unknown, id-ambiguous, run-over."""
        row, why = find_run(self._loop.state, run), _why(ask.why)
        state, now = await self._tell(
            lambda at, ticket: RunStopped(at_ms=at, ticket=ticket, actor=actor, run=row.id, why=why)
        )
        return run_view(state, state.runs[row.id], now)

    async def pause(self, actor: str, run: str, ask: PauseAsk) -> RunView:
        """Let a run come to rest after its present round, or now. run-unknown, id-ambiguous, run-over."""
        row, why = find_run(self._loop.state, run), _why(ask.why)
        state, now = await self._tell(
            lambda at, ticket: RunPaused(at_ms=at, ticket=ticket, actor=actor, run=row.id, now=ask.now, why=why)
        )
        return run_view(state, state.runs[row.id], now)

    async def resume(self, actor: str, run: str) -> RunView:
        """Let a paused run go on with the same round. run-unknown, id-ambiguous, run-not-paused.

        A run that is running already stays so: resuming again is no fault, as a lost answer is asked for again.
        """
        row = find_run(self._loop.state, run)
        if row.state == "RUNNING":
            return run_view(self._loop.state, row, self._loop.now_ms())
        state, now = await self._tell(lambda at, ticket: RunResumed(at_ms=at, ticket=ticket, actor=actor, run=row.id))
        return run_view(state, state.runs[row.id], now)

    # -- the plane and its devices ---------------------------------------------------------------------------

    async def freeze(self, actor: str, ask: FreezeAsk) -> FreezeView:
        """Grant no lease from the next commit on; with `revoke` the running ones end too."""
        why = _why(ask.why)
        state, now = await self._tell(
            lambda at, ticket: Frozen(at_ms=at, ticket=ticket, actor=actor, revoke=ask.revoke, why=why)
        )
        return freeze_view(state, now)

    async def unfreeze(self, actor: str, ask: FreezeAsk) -> FreezeView:
        """Grant leases again; `usage` with `revoke`, which belongs to freezing."""
        why = _why(ask.why)
        if ask.revoke:
            raise OperatorFault("usage", what="unfreeze with revoke", why="only freezing revokes leases")
        state, now = await self._tell(lambda at, ticket: Unfrozen(at_ms=at, ticket=ticket, actor=actor, why=why))
        return freeze_view(state, now)

    async def mark(self, actor: str, ask: MarkAsk) -> MarkDone:
        """Let devices be active, cordoned, drained or banned, or say how many would be.

        usage, not-found, id-ambiguous; more than `marked_devices_max` devices are refused (usage).
        """
        marking, why = Marking.of(ask.mark), _why(ask.why)
        rows = await chosen(self._loop.state, self._devices, ask, self._parts.limits.marked_devices_max)
        done = marking.done(self._loop.state, rows, ask.dry_run)
        if ask.dry_run or not rows:
            return done
        devices = tuple(row.id for row in rows)
        said: Answer = await self._loop.ask(
            lambda at, ticket: DevicesMarked(
                at_ms=at,
                ticket=ticket,
                actor=actor,
                devices=devices,
                state=marking.state,
                of_states=marking.of_states,
                revoke=marking.revoke,
                why=why,
            )
        )
        return replace(done, changed=checked(said).changed)

    # -- models ----------------------------------------------------------------------------------------------

    async def promote(self, actor: str, alias: str, ask: PromoteAsk) -> AliasView:
        """Let "<task>@<name>" name a version of that task.

        version-unknown, id-ambiguous, alias-moved (it is not at `counter` now), alias-managed, not-released, usage.
        """
        version, why = find_version(self._loop.state, ask.version), _why(ask.why)
        return await self._move(actor, alias, version, ask.counter, why)

    async def rollback(self, actor: str, alias: str, ask: RollbackAsk) -> AliasView:
        """Let an alias name the version before its present one, or one that it ever named, again.

        version-unknown, not-found, id-ambiguous, alias-moved, alias-managed, not-released, usage.
        """
        row, why = find_alias(self._loop.state, alias), _why(ask.why)
        counter = row.counter if ask.counter < 0 else ask.counter
        if counter != row.counter:
            raise OperatorFault("alias-moved", what=f"alias {row.id}", why=f"it has moved {row.counter} times by now")
        version = version_to_go_back_to(self._loop.state, row, ask.version)
        return await self._move(actor, row.id, version, counter, why, back=True)

    async def _move(
        self, actor: str, alias: str, version: VersionRow, counter: int, why: str, *, back: bool = False
    ) -> AliasView:
        """What is named is there when it is named, and stays."""
        async with self._room.naming:
            await check_kept(self._room, version, version.id, version.statement)
            state, now = await self._tell(
                lambda at, ticket: AliasMoved(
                    at_ms=at,
                    ticket=ticket,
                    actor=actor,
                    alias=alias,
                    version=version.id,
                    counter=counter,
                    release_keys=active_keys(self._parts.identity.document, RELEASE),
                    why=why,
                    back=back,
                )
            )
        return alias_view(state, state.aliases[alias], now)

    async def release(self, actor: str, version: str, ask: ReleaseAsk) -> ReleaseView:
        """Keep that a version is released, once the root document's release key is seen to have signed it.

        version-unknown, id-ambiguous, release-invalid.
        """
        row = find_version(self._loop.state, version)
        statement = bytes(ask.statement)
        read = open_release(self._parts.identity.document, statement)
        if (read.version, read.task_digest) != (row.id, row.task):
            why = f"it releases version {read.version} of task {read.task_digest or '(none)'}"
            raise OperatorFault("release-invalid", what=f"it is no release of {row.id}", why=why)
        async with self._room.naming:
            await check_kept(self._room, row, row.id, row.statement)
            kept = await self._room.run(self._parts.blobs.put, statement)
            state, now = await self._tell(
                lambda at, ticket: VersionReleased(
                    at_ms=at, ticket=ticket, actor=actor, version=row.id, key_id=read.key_id, statement=kept
                )
            )
        return release_view(state.releases[row.id], now)

    # -- services --------------------------------------------------------------------------------------------

    async def issue_service(self, who: Who, ask: ServiceAsk) -> ServiceMade:
        """Make a service's credential; it is shown this once, only its hash is kept.

        usage (also for a verb that there is not), name-taken; verb-denied for a verb that the asker has not. One that
        a service issues ends no later than the service's own, and with it.
        """
        lives_ms = self._check_service(who, ask)
        token = SERVICE_PREFIX + b64(self._parts.entropy.token(SECRET_BYTES))
        known = token_hash(token)
        state, _ = await self._tell(
            lambda at, ticket: ServiceIssued(
                at_ms=at,
                ticket=ticket,
                actor=who.actor,
                token_hash=known,
                name=ask.name,
                verbs=ask.verbs,
                expires_ms=at + lives_ms,
                credential=who.service,
            )
        )
        row = state.services[known]
        return ServiceMade(id=known, token=token, left_ms=row.expires_ms - row.made_ms)

    def _check_service(self, who: Who, ask: ServiceAsk) -> int:
        """How long the credential lives, in ms."""
        limits = self._parts.limits
        named = 0 < len(ask.name) <= limits.name_chars_max and ask.name.isprintable() and ask.name == ask.name.strip()
        if not named or "/" in ask.name:
            why = f"printable, 1 to {limits.name_chars_max} characters, no / and no space around it"
            raise OperatorFault("usage", what="the service's name cannot be taken", why=why)
        if not 0 <= ask.expires_ms <= limits.service_ms:
            raise OperatorFault("usage", what="the credential's expiry", why=f"at most {limits.service_ms} ms")
        for verb in ask.verbs:
            roles.known(verb)
            permit(self._loop, who, verb)
        return ask.expires_ms or limits.service_ms

    async def revoke_service(self, who: Who, service: str) -> ServiceView:
        """End a service's credential, and those that it issued: their next request is refused.

        service-unknown, id-ambiguous; verb-denied for a service that asks for another than itself or what it issued.
        """
        row = find_service(self._loop.state, service)
        if who.service and row not in lineage(self._loop.state, who.service):
            raise denied(self._loop, who, "services.issue", f"{who.actor} did not issue {row.name}")
        state, now = await self._tell(
            lambda at, ticket: ServiceRevoked(at_ms=at, ticket=ticket, actor=who.actor, token_hash=row.id)
        )
        return service_view(state.services[row.id], now)


def _why(text: str) -> str:
    """A person's reason as it goes into the journal; `OperatorFault(usage)`."""
    if len(text) > WHY_CHARS_MAX or not text.isprintable():
        why = f"one line of at most {WHY_CHARS_MAX} printable characters"
        raise OperatorFault("usage", what="the reason cannot be taken", why=why)
    return text
