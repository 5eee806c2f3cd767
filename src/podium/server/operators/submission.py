"""What an operator brings in: tasks with their first model, and enrolment tokens.

Decides: whether a task and its model hold before the core hears of them: canonical bytes, every term, the rules'
expressions, and that an update of the model can be uploaded. Never: whether the plan can be imported (devices need it,
the plane does not). Limits: `operator_body_bytes_max`, `update_bytes_max`, `token_ms`.
"""

import hashlib

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from podium.core.events import RunSubmitted, TokenIssued, VersionImported
from podium.core.selection.rules import compile_rules
from podium.crypto.seal import sealed_length
from podium.server import http
from podium.server.aggregation.manifests import Notary
from podium.server.devices.device_words import checked
from podium.server.devices.gateway import decode
from podium.server.devices.uploads import BlobRoom
from podium.server.loop.loop import Loop
from podium.server.operators.naming import find_version
from podium.server.plane_data import Parts
from podium.server.retention import Retention
from podium.tasks.check import check_task
from podium.tasks.digest import read_task_bytes, task_digest
from podium.tasks.task import Task
from podium.wire.asks import RunAsk, TokenAsk
from podium.wire.canonical import b64, canonical, unb64
from podium.wire.operator import RunMade, TokenMade
from podium.wire.problems import DeviceFault, OperatorFault
from podium.wire.tensors import specs_of, update_bytes_max

_RUN = msgspec.json.Decoder(RunAsk)
_TOKEN = msgspec.json.Decoder(TokenAsk)
USES_MAX = 1_000_000
LABELS_MAX = 64


class Submission:
    """POST /api/v1/runs and POST /api/v1/tokens."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom, notary: Notary, retention: Retention) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._notary = notary
        self._retention = retention
        self.ca = ""
        """What an enrolment token says of the plane's certificate: "" on loopback, else "sha256:<hex>" or PEM."""
        self.pinned_plans = False
        """Whether a task must pin its plan's digests: what is editable cannot be pinned."""

    async def submit(self, request: Request, actor: str) -> Response:
        """Start a run; its id and the task's digest.

        `OperatorFault`: task-invalid, not-available, plan-dev, expression-invalid, version-unknown, run-limit.
        """
        asked = decode(_RUN, await self._body(request, self._parts.limits.operator_body_bytes_max))
        task = read_task_bytes(bytes(asked.task))
        check_task(task)
        if self.pinned_plans and not task.task.plan_digests:
            what = f"plan {task.task.plan} is not pinned"
            raise OperatorFault("plan-dev", what=what, why="task.plan_digests is empty")
        await self._room.run(compile_rules, task)
        digest = task_digest(task)
        run = self._parts.entropy.token(4).hex()
        async with self._retention.importing:
            base = await self._base(asked, task, actor)
            checked(
                await self._loop.ask(
                    lambda at, ticket: RunSubmitted(
                        at_ms=at, ticket=ticket, actor=actor, run=run, task=task, task_digest=digest, base=base
                    )
                )
            )
        return Response(msgspec.json.encode(RunMade(run=run, task_digest=digest)), 201, media_type="application/json")

    async def _base(self, asked: RunAsk, task: Task, actor: str) -> str:
        """The digest of the version that the run begins with: the model sent along, or one that is here already."""
        if asked.model:
            return await self._import(unb64(asked.model), actor)
        named = asked.base or task.model.version or task.model.alias
        if not named:
            raise OperatorFault(
                "task-invalid",
                what="[model] names an init function or a file, and no model was sent along",
                why="a plane never runs a plan: whoever submits sends the model's bytes",
            )
        base = find_version(self._loop.state, named).id
        try:
            await self._room.size(base)
        except DeviceFault as error:
            why = "its bytes were collected: the newest of each run and those with an alias are kept"
            raise OperatorFault("version-unknown", what=f"version {base} is not here", why=why) from error
        return base

    async def _import(self, data: bytes, actor: str) -> str:
        try:
            sealed_max = sealed_length(update_bytes_max(specs_of(data)))
        except ValueError as error:
            raise OperatorFault("task-invalid", what="the model cannot be read", why=str(error)) from error
        if sealed_max > self._parts.limits.update_bytes_max:
            limit = self._parts.limits.update_bytes_max
            what = f"an update of this model may have {sealed_max} bytes"
            raise OperatorFault("task-invalid", what=what, why=f"{limit} are allowed")
        digest = await self._room.run(self._parts.blobs.put, data)
        if digest not in self._loop.state.versions:
            statement = await self._room.run(self._notary.imported, digest)
            self._loop.tell(
                lambda at: VersionImported(
                    at_ms=at, actor=actor, digest=digest, size_bytes=len(data), statement=statement
                )
            )
        return digest

    async def issue_token(self, request: Request, actor: str) -> Response:
        """Make an enrolment token; it is shown this once, only its hash is kept."""
        asked = decode(_TOKEN, await self._body(request, self._parts.limits.body_bytes_max))
        self._check_token(asked)
        secret = b64(self._parts.entropy.token(32))
        lives_ms = asked.expires_ms or self._parts.limits.token_ms
        checked(
            await self._loop.ask(
                lambda at, ticket: TokenIssued(
                    at_ms=at,
                    ticket=ticket,
                    actor=actor,
                    token_hash=hashlib.sha256(secret.encode()).hexdigest(),
                    population=asked.population,
                    site=asked.site,
                    name=asked.name,
                    labels=asked.labels,
                    uses=asked.uses,
                    expires_ms=at + lives_ms,
                )
            )
        )
        held = {
            "plane_id": self._parts.identity.plane_id,
            "secret": secret,
            "population": asked.population,
            "ca": self.ca,
        }
        made = TokenMade(token="pdm1." + b64(canonical(held)), expires_in_ms=lives_ms)
        return Response(msgspec.json.encode(made), 201, media_type="application/json")

    def _check_token(self, asked: TokenAsk) -> None:
        chars_max = self._parts.limits.name_chars_max
        texts = [asked.population, asked.site, asked.name, *asked.labels, *asked.labels.values()]
        if any(len(text) > chars_max or not text.isprintable() or "/" in text for text in texts):
            raise OperatorFault("usage", what="a name or label cannot be taken", why=f"printable, <= {chars_max}, no /")
        if not 1 <= asked.uses <= USES_MAX or len(asked.labels) > LABELS_MAX:
            why = f"1 to {USES_MAX} uses, at most {LABELS_MAX} labels"
            raise OperatorFault("usage", what="the token cannot be made so", why=why)
        if not 0 <= asked.expires_ms <= self._parts.limits.token_ms:
            raise OperatorFault("usage", what="the token's expiry", why=f"at most {self._parts.limits.token_ms} ms")

    async def _body(self, request: Request, bytes_max: int) -> bytes:
        try:
            return await http.Request(request.scope, request.receive).body(bytes_max, self._parts.limits.body_ms)
        except http.Gone as error:
            raise DeviceFault("body-malformed", why=str(error)) from error
