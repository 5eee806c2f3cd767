"""What an operator brings in: tasks with their first model, and enrolment tokens.

Decides: whether a task and its model hold before the core hears of them: canonical bytes, every term, the rules'
expressions, and that an update of the model can be uploaded. Never: whether the plan can be imported (devices need it,
the plane does not). A run's id is derived from who asked and their Idempotency-Key, so that asking again answers the
same run (the core refuses the same id with other terms); without a key every ask starts another run.
Limits: `update_bytes_max`, `token_ms`; of the body, operator_routes.py.
"""

import hashlib

from msgspec.structs import replace

from podium.adapters.strategies import load_strategies
from podium.core.events import RunSubmitted, TokenIssued, VersionImported
from podium.core.rounds.runs import start_refusal
from podium.core.rows import RunRow
from podium.core.selection.rules import compile_rules
from podium.core.selection.strategies.registry import make_strategy
from podium.crypto.seal import sealed_length
from podium.server.aggregation.manifests import Notary
from podium.server.devices.device_words import checked
from podium.server.devices.uploads import BlobRoom
from podium.server.loop.loop import Loop
from podium.server.operators.naming import find_run, find_version
from podium.server.plane_data import Parts
from podium.server.retention import check_kept
from podium.tasks.check import check_task
from podium.tasks.digest import read_task_bytes, task_digest
from podium.tasks.task import Task
from podium.wire.asks import RunAsk, TokenAsk
from podium.wire.canonical import b64, canonical, sha256_digest, unb64
from podium.wire.operator import RunMade, TokenMade
from podium.wire.problems import OperatorFault
from podium.wire.tensors import specs_of, update_bytes_max

RUN_ID_BYTES = 6
USES_MAX = 1_000_000
LABELS_MAX = 64


class Submission:
    """What makes runs and tokens."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom, notary: Notary) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._notary = notary
        self.ca = ""
        """What an enrolment token says of the plane's certificate: "" on loopback, else "sha256:<hex>" or PEM."""
        self.pinned_plans = False
        """Whether a task must pin its plan's digests: what is editable cannot be pinned."""

    async def submit(self, actor: str, ask: RunAsk, key: str = "") -> RunMade:
        """Start a run; its id and the task's digest. `key`: the same one again answers the same run.

        `OperatorFault`: task-invalid, not-available, plan-dev, expression-invalid, version-unknown, run-limit,
        conflicting-repeat (the key was used with another task or model).
        """
        task = read_task_bytes(bytes(ask.task))
        check_task(task)
        if self.pinned_plans and not task.task.plan_digests:
            what = f"plan {task.task.plan} is not pinned"
            raise OperatorFault("plan-dev", what=what, why="task.plan_digests is empty")
        await self._room.run(_check_choice, task)
        run = self._run_id(actor, "submit", key)
        model = unb64(ask.model)
        brought = await self._room.run(sha256_digest, model) if model else ""
        async with self._room.naming:
            base = brought or self._named(ask, task, self._loop.state.runs.get(run))
            return await self._start(_asked(actor, run, task, base), model)

    async def retry(self, actor: str, name: str, key: str = "") -> RunMade:
        """Start a new run of the same task from the last sealed version of the run `name`, linked to it.

        `OperatorFault`: run-unknown, id-ambiguous, run-open (it is not over), run-over (it finished), run-limit,
        version-unknown (the version's bytes were collected), conflicting-repeat; task-invalid and expression-invalid of
        a task that was taken by another release, or whose strategy is installed no more.
        """
        origin = find_run(self._loop.state, name)
        task = self._loop.state.tasks[origin.task].task
        await self._room.run(_check_choice, task)
        run = self._run_id(actor, f"retry {origin.id}", key)
        async with self._room.naming:
            return await self._start(_asked(actor, run, task, origin.base, origin.id))

    async def _start(self, start: RunSubmitted, model: bytes = b"") -> RunMade:
        """Let the core start a run from `model`, its base's bytes, or from a base that is here.

        What refuses it refuses it before the model is taken in, so that nothing stays of a run that never was; that
        still holds when the core decides, because `naming` is held by whoever starts a run.
        """
        refused = start_refusal(self._loop.state, start)
        if refused:
            raise OperatorFault(refused)
        new = start.run not in self._loop.state.runs
        if new and model:
            await self._import(model, start)
        elif new:
            await check_kept(self._room, self._loop.state.versions[start.base], start.base)
        checked(await self._loop.ask(lambda at, ticket: replace(start, at_ms=at, ticket=ticket)))
        return RunMade(run=start.run, task_digest=start.task_digest)

    def _run_id(self, actor: str, what: str, key: str) -> str:
        """A run's id: drawn, or the one that this ask always gets."""
        if not key:
            return self._parts.entropy.token(RUN_ID_BYTES).hex()
        named = canonical({"actor": actor, "key": key, "plane": self._parts.identity.plane_id, "what": what})
        return hashlib.sha256(named).hexdigest()[: 2 * RUN_ID_BYTES]

    def _named(self, asked: RunAsk, task: Task, known: RunRow | None) -> str:
        """The digest of the version that a run begins with to which no model was sent along.

        `known`: the run that an earlier ask with the same key started; a name that may have moved since is its first.
        """
        named = asked.base or task.model.version or task.model.alias
        if not named:
            raise OperatorFault(
                "task-invalid",
                what="[model] names an init function or a file, and no model was sent along",
                why="a plane never runs a plan: whoever submits sends the model's bytes",
            )
        if known is not None and not named.startswith("sha256:"):
            return known.first
        return find_version(self._loop.state, named).id

    async def _import(self, data: bytes, start: RunSubmitted) -> None:
        try:
            sealed_max = sealed_length(update_bytes_max(specs_of(data)))
        except ValueError as error:
            raise OperatorFault("task-invalid", what="the model cannot be read", why=str(error)) from error
        if sealed_max > self._parts.limits.update_bytes_max:
            limit = self._parts.limits.update_bytes_max
            what = f"an update of this model may have {sealed_max} bytes"
            raise OperatorFault("task-invalid", what=what, why=f"{limit} are allowed")
        await self._room.run(self._parts.blobs.put, data)
        if start.base not in self._loop.state.versions:
            statement = await self._room.run(self._notary.imported, start.base)
            self._loop.tell(
                lambda at: VersionImported(
                    at_ms=at, actor=start.actor, digest=start.base, size_bytes=len(data), statement=statement
                )
            )

    async def issue_token(self, actor: str, asked: TokenAsk) -> TokenMade:
        """Make an enrolment token; it is shown this once, only its hash is kept. `OperatorFault(usage)`."""
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
        return TokenMade(token="pdm1." + b64(canonical(held)), expires_in_ms=lives_ms)

    def _check_token(self, asked: TokenAsk) -> None:
        chars_max = self._parts.limits.name_chars_max
        texts = [asked.population, asked.site, asked.name, *asked.labels, *asked.labels.values()]
        if any(len(text) > chars_max or not text.isprintable() or "/" in text for text in texts):
            raise OperatorFault("usage", what="a name or label cannot be taken", why=f"printable, <= {chars_max}, no /")
        if any("," in name or "=" in name or "," in value or not name for name, value in asked.labels.items()):
            why = "its name has no = and neither has a comma, as devices are found by NAME=VALUE,NAME=VALUE"
            raise OperatorFault("usage", what="a label cannot be taken", why=why)
        if not 1 <= asked.uses <= USES_MAX or len(asked.labels) > LABELS_MAX:
            why = f"1 to {USES_MAX} uses, at most {LABELS_MAX} labels"
            raise OperatorFault("usage", what="the token cannot be made so", why=why)
        if not 0 <= asked.expires_ms <= self._parts.limits.token_ms:
            raise OperatorFault("usage", what="the token's expiry", why=f"at most {self._parts.limits.token_ms} ms")


def _check_choice(task: Task) -> None:
    """Whether this plane can choose devices for `task`. `OperatorFault(expression-invalid | task-invalid | usage)`."""
    compile_rules(task)
    make_strategy(task.select, load_strategies())


def _asked(actor: str, run: str, task: Task, base: str, retry_of: str = "") -> RunSubmitted:
    """What the core is told of a run, but for when."""
    return RunSubmitted(
        at_ms=0,
        ticket=-1,
        actor=actor,
        run=run,
        task=task,
        task_digest=task_digest(task),
        base=base,
        retry_of=retry_of,
    )
