"""What a device believes: the plane's root, its session grants, journal heads and round manifests.

Decides: whether the plane may be believed, and whether this device can do what a manifest asks. Verification raises:
`DeviceFault(manifest-invalid)` for what does not verify (it does not train and tells the operator),
`DeviceFault(plan-mismatch | not-available)` or `OperatorFault(plan-missing)` for what verifies but cannot be done here.
Never: talks to the plane (session.py, agent.py) nor keeps anything durable (state.py). Limits: approvals, site
policies, budgets and attestation are not understood by this release, so a manifest that names any is not served.
Sources: RFC 6962 (heads), The Update Framework 1.0 (root), docs/reference/device-protocol.md.
"""

import hashlib

import msgspec

from podium.crypto.root import active_key, open_root, role_key
from podium.crypto.seal import open_key, session_info
from podium.crypto.sign import open_signed
from podium.device.link import decoded
from podium.device.plan import Plan, load_plan
from podium.device.state import HeadSeen, Identity, Memory, RunSeen
from podium.tasks.digest import read_task_bytes
from podium.tasks.task import Task
from podium.wire.canonical import sha256_digest, unb64
from podium.wire.messages import (
    ENCODING_F32,
    Head,
    OfferMessage,
    RootDocument,
    RoundManifest,
    SessionGrant,
    Signed,
    SignedRoot,
)
from podium.wire.problems import DeviceFault, PodiumError

RUNS_SEEN_MAX = 64
"""Runs whose highest round is remembered; the oldest is forgotten first."""

_OF_THE_PLANE = frozenset(
    {"signature-invalid", "body-malformed", "body-not-canonical", "task-invalid", "unseal-failed"}
)


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that verified: its manifest, the task in it, and the installed plan."""

    offer: OfferMessage
    manifest: RoundManifest
    task: Task
    plan: Plan


def untrue(what: str, why: str) -> DeviceFault:
    """The fault of an answer of the plane that does not verify."""
    return DeviceFault("manifest-invalid", what=what, why=why)


def follow_root(memory: Memory, signed: SignedRoot, plane_id: str) -> bool:
    """Take `signed` as the root if it holds and follows the one kept; whether memory changed.

    The first root must name the plane that the enrolment token names.
    """
    trusted = None if memory.root is None else open_root(memory.root, None)
    document = open_root(signed, trusted)
    if document.plane_id != plane_id:
        raise untrue("verify the plane's root document", f"it is of plane {document.plane_id}, not {plane_id}")
    if trusted is not None and document.version == trusted.version:
        return False
    memory.root = signed
    return True


def open_grant(root: RootDocument, signed: Signed, statement: bytes, private: bytes) -> tuple[SessionGrant, bytes]:
    """A session grant that answers `statement` (canonical bytes), and the 32-byte session key sealed in it.

    `private`: the ephemeral X25519 key of the statement.
    """
    try:
        grant = open_signed(active_key(root, "online", signed.key_id), "session-grant", signed, SessionGrant)
        key = open_key(private, unb64(grant.sealed_key), session_info(grant.session))
    except PodiumError as error:
        raise _of_the_plane("verify the session grant", error) from error
    if grant.statement_hash != hashlib.sha256(statement).hexdigest():
        raise untrue("verify the session grant", "it answers another statement")
    return grant, key


def follow_head(root: RootDocument, memory: Memory, signed: Signed | None) -> bool:
    """Compare the newest head of a session with those seen; whether memory changed.

    A journal only grows: a head that is missing although one was seen, shorter than one seen, or of a size seen with
    another root is a fork.
    """
    if signed is None:
        if memory.heads:
            raise untrue("verify the journal head", "the plane shows none, but did before")
        return False
    head = _open_head(root, signed)
    seen = memory.heads.get(head.tree)
    if seen is not None and head.size < seen.size:
        raise untrue("verify the journal head", f"{head.tree} has {head.size} entries, but had {seen.size} before")
    return _note_head(memory, head)


def read_manifest(data: bytes, offer: OfferMessage) -> Signed:
    """The signed manifest in the blob `data`, not yet verified, once its bytes have the digest that the offer names."""
    if sha256_digest(data) != offer.manifest:
        raise untrue(f"read the manifest of lease {offer.lease}", "its bytes have another digest than the offer names")
    return decoded(data, Signed)


def open_manifest(
    root: RootDocument, identity: Identity, signed: Signed, offer: OfferMessage
) -> tuple[RoundManifest, Task]:
    """The manifest in `signed` and its task, once signature, plane, population, run, base, digest and variant fit."""
    what = f"verify the manifest of lease {offer.lease}"
    try:
        manifest = open_signed(role_key(root, "online", signed.key_id), "round-manifest", signed, RoundManifest)
        # It reads canonical bytes only, so their SHA-256 is the task's digest.
        task = read_task_bytes(bytes(manifest.task))
    except PodiumError as error:
        raise _of_the_plane(what, error) from error
    wrong = {
        "plane": manifest.plane_id != identity.plane_id,
        "population": manifest.population != identity.population,
        "run and round": not offer.lease.startswith(f"{manifest.run}.{manifest.round}."),
        "base version": manifest.base != offer.base,
        "task digest": manifest.task_digest != sha256_digest(bytes(manifest.task)),
        "variant": offer.variant not in [entry.digest for entry in manifest.variants],
    }
    for name, differs in wrong.items():
        if differs:
            raise untrue(what, f"it has another {name} than the offer or its own content")
    return manifest, task


def follow_manifest(root: RootDocument, memory: Memory, manifest: RoundManifest) -> None:
    """Compare a manifest's round and journal head with those seen, and remember them.

    Rounds of a run only grow, and so do the heads of its manifests. A manifest is older than the newest session, so
    its head may be shorter than a session's; it may not contradict one.
    """
    what = f"verify the manifest of run {manifest.run} round {manifest.round}"
    seen = memory.runs.get(manifest.run)
    if seen is not None and manifest.round < seen.round:
        raise untrue(what, f"round {seen.round} of that run was seen before")
    head = None if manifest.head is None else _open_head(root, manifest.head)
    if seen is not None and seen.head is not None:
        if head is None or head.tree != seen.tree:
            raise untrue(what, "it shows no journal head, but an earlier manifest of the run did")
        if head.size < seen.head.size:
            raise untrue(what, f"{head.tree} has {head.size} entries, but had {seen.head.size} before")
        if head.size == seen.head.size and head.root != seen.head.root:
            raise untrue(what, f"the journal {head.tree} was forked at {head.size} entries")
    if head is not None:
        _note_head(memory, head)
    kept = HeadSeen(head.size, head.root) if head is not None else None
    memory.runs.pop(manifest.run, None)
    memory.runs[manifest.run] = RunSeen(manifest.round, head.tree if head is not None else "", kept)
    while len(memory.runs) > RUNS_SEEN_MAX:
        del memory.runs[next(iter(memory.runs))]


def accept_terms(manifest: RoundManifest, task: Task, offer: OfferMessage) -> Work:
    """The work that a verified manifest asks for, if this device can do it with what is installed."""
    what = f"serve task {task.task.name}"
    for name in ("approvals", "site_policies", "budgets", "attestation"):
        if getattr(manifest, name):
            raise DeviceFault("not-available", what=what, why=f"this agent does not understand {name} yet")
    if task.aggregate.secure or task.task.kind == "analytics":
        raise DeviceFault("not-available", what=what, why="this agent offers no secure aggregation and no analytics")
    if manifest.upload.encoding != ENCODING_F32:
        raise DeviceFault("not-available", what=what, why=f"encoding {manifest.upload.encoding} is not spoken here")
    if offer.variant != manifest.base:
        raise DeviceFault("not-available", what=what, why="this agent loads the master variant only")
    plan = load_plan(task.task.plan)
    if task.task.plan_digests and plan.digest not in task.task.plan_digests:
        raise DeviceFault("plan-mismatch", what=what, why=f"{plan.name} {plan.version} is {plan.digest} here")
    return Work(offer=offer, manifest=manifest, task=task, plan=plan)


def _open_head(root: RootDocument, signed: Signed) -> Head:
    try:
        return open_signed(role_key(root, "online", signed.key_id), "journal-head", signed, Head)
    except PodiumError as error:
        raise _of_the_plane("verify the journal head", error) from error


def _note_head(memory: Memory, head: Head) -> bool:
    """Keep `head` if it is the highest of its tree; a head of the same size must have the same root."""
    seen = memory.heads.get(head.tree)
    if seen is not None and head.size == seen.size and head.root != seen.root:
        raise untrue("verify the journal head", f"the journal {head.tree} was forked at {head.size} entries")
    if seen is not None and head.size <= seen.size:
        return False
    memory.heads[head.tree] = HeadSeen(head.size, head.root)
    return True


def _of_the_plane(what: str, error: PodiumError) -> PodiumError:
    """A fault of verification as the plane's: what the plane signed badly is no fault of this device."""
    return untrue(what, f"{error.code}: {error.why or error.what}") if error.code in _OF_THE_PLANE else error
