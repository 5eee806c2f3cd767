"""What the plane signs about a round: its manifest before, its version's provenance statement after.

Decides: what stands in both. Never: when they are made (aggregation.py). Limits: `update_bytes_max`.
Sources: device-protocol.md (round manifest); in-toto Statement v1 (https://in-toto.io/Statement/v1) in a DSSE envelope.
"""

from collections.abc import Callable

import msgspec

from podium.core.outbox import POPULATION
from podium.crypto.dsse import seal_statement
from podium.crypto.seal import KEY_BYTES, sealed_length, upload_keypair
from podium.crypto.sign import sign
from podium.ports.plane import RoundWork
from podium.server.plane_data import Parts
from podium.tasks.digest import task_bytes
from podium.wire.canonical import b64, canonical
from podium.wire.messages import ENCODING_F32, RoundManifest, Signed, UploadRules, VariantEntry
from podium.wire.plain import plain
from podium.wire.tensors import specs_of, update_bytes_max

HeadOf = Callable[[str], Signed | None]
"""The newest signed journal head of a tree (a population, or "plane"); None before the first."""

STATEMENT_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "urn:podium:provenance:v1"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """in-toto's ResourceDescriptor: the version by its SHA-256."""

    name: str
    digest: dict[str, str]


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a version comes from. `aggregation`: the task's terms, floats tagged (wire/plain.py); `privacy`: the
    mechanism, "none" if there is none; `journal_head`: the newest signed head when the statement was made."""

    plane_id: str
    parent: str
    task_digest: str
    run: str
    round: int
    contributors: int
    aggregation: msgspec.Raw
    privacy: str
    journal_head: Signed | None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """in-toto Statement v1 with a Podium predicate."""

    type: str = msgspec.field(name="_type", default="https://in-toto.io/Statement/v1")
    subject: tuple[Subject, ...]
    predicate_type: str = msgspec.field(name="predicateType", default=PREDICATE_TYPE)
    predicate: Provenance


def upload_key_name(run: str, round_number: int) -> str:
    """The Keys name of a round's upload key, which is also its key id on the wire."""
    return f"upload/{run}.{round_number}"


class Notary:
    """Signs with the plane's online key and keeps what it signed as blobs. Blocking: runs in the worker thread.

    Every method may raise `StoreFault`; doing one again makes at worst another blob that nobody names.
    """

    def __init__(self, parts: Parts, head_of: HeadOf) -> None:
        self._parts = parts
        self._head_of = head_of

    def manifest(self, work: RoundWork, task_digest: str) -> str:
        """Make the round's upload key if it has none, sign its manifest; the digest of the blob that holds it.

        `work.key_id` is `upload_key_name` of the round.
        """
        parts = self._parts
        if work.key_id not in parts.keys.names(work.key_id):
            parts.keys.put(work.key_id, upload_keypair(parts.entropy.token(KEY_BYTES))[0])
        public = upload_keypair(parts.keys.get(work.key_id))[1]
        tensors = specs_of(parts.blobs.get(work.base))
        bytes_max = min(parts.limits.update_bytes_max, sealed_length(update_bytes_max(tensors)))
        manifest = RoundManifest(
            plane_id=parts.identity.plane_id,
            population=POPULATION,
            run=work.run,
            round=work.round,
            task=msgspec.Raw(task_bytes(work.task)),
            task_digest=task_digest,
            base=work.base,
            variants=(VariantEntry(digest=work.base, size=parts.blobs.size(work.base)),),
            tensors=tensors,
            upload=UploadRules(
                key_id=work.key_id,
                public_key=b64(public),
                encoding=ENCODING_F32,
                chunk_bytes=parts.limits.chunk_bytes,
                bytes_max=bytes_max if work.task.task.kind == "train" else 0,
            ),
            approvals=(),
            site_policies=(),
            budgets={},
            attestation="",
            head=self._head_of(POPULATION),
        )
        signed = sign(parts.online_seed(), "round-manifest", canonical(manifest))
        return parts.blobs.put(msgspec.json.encode(signed))

    def provenance(self, work: RoundWork, task_digest: str, version: str, contributors: int) -> str:
        """Sign where `version` (its blob digest) comes from; the digest of the blob that holds the envelope."""
        return self._stated(
            version,
            Provenance(
                plane_id=self._parts.identity.plane_id,
                parent=work.base,
                task_digest=task_digest,
                run=work.run,
                round=work.round,
                contributors=contributors,
                aggregation=msgspec.Raw(canonical(plain(work.task.aggregate))),
                privacy="none" if work.task.privacy is None else work.task.privacy.mechanism,
                journal_head=self._head_of(POPULATION),
            ),
        )

    def imported(self, version: str) -> str:
        """Sign that `version` was brought in by a person: no parent, no task, no contributors."""
        return self._stated(
            version,
            Provenance(
                plane_id=self._parts.identity.plane_id,
                parent="",
                task_digest="",
                run="",
                round=0,
                contributors=0,
                aggregation=msgspec.Raw(b"null"),
                privacy="none",
                journal_head=self._head_of("plane"),
            ),
        )

    def _stated(self, version: str, provenance: Provenance) -> str:
        subject = Subject(name="model.safetensors", digest={"sha256": version.removeprefix("sha256:")})
        payload = canonical(Statement(subject=(subject,), predicate=provenance))
        return self._parts.blobs.put(seal_statement(self._parts.online_seed(), STATEMENT_TYPE, payload))
