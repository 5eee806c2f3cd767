"""The operator API as typed calls: one method per route of /api/v1.

Decides: that starting a run carries an Idempotency-Key, so that a lost answer never starts a second one. Never: what is
asked for, nor how an answer is read (calls.py). Limits: lists are read page by page to their end; a blob is read whole.
"""

import secrets

import msgspec

from podium.device.link import PlaneAway
from podium.plane.calls import Calls, name
from podium.tasks.forecast import Forecast
from podium.wire.asks import (
    ForecastAsk,
    FreezeAsk,
    MarkAsk,
    PauseAsk,
    PromoteAsk,
    ReleaseAsk,
    RollbackAsk,
    RotateAsk,
    RunAsk,
    ServiceAsk,
    StopAsk,
    TokenAsk,
    WebhookAsk,
)
from podium.wire.explained import Explanation
from podium.wire.operator import (
    AliasMoveView,
    AliasView,
    DeadLetterView,
    DeviceDetail,
    DeviceView,
    EntryView,
    FleetView,
    FreezeView,
    KeyView,
    LeaseView,
    MarkDone,
    PresenceView,
    ReleaseView,
    RoundView,
    RunMade,
    RunView,
    ServiceMade,
    ServiceView,
    StatusView,
    TokenMade,
    VerifyView,
    VersionView,
    WebhookMade,
    WebhookView,
    WhoAmI,
)


class OperatorLink(Calls):
    """One plane's operator API under one credential.

    What every call may raise is said of `Calls`. What a run, version, device, alias or service may be called is
    naming.py's: an id, a unique prefix, a name, @last.
    """

    # -- the plane -------------------------------------------------------------------------------------------

    def status(self) -> StatusView:
        """The plane in one look."""
        return self._get("status", StatusView)

    def who_am_i(self) -> WhoAmI:
        """Whom this credential proves, and what it may do."""
        return self._get("whoami", WhoAmI)

    def freeze(self, revoke: bool = False, why: str = "") -> FreezeView:
        """Grant no lease from now on; with `revoke` the running ones end too."""
        return self._post("freeze", FreezeAsk(revoke=revoke, why=why), FreezeView)

    def unfreeze(self, why: str = "") -> FreezeView:
        """Grant leases again."""
        return self._post("unfreeze", FreezeAsk(why=why), FreezeView)

    def explain(self, kind: str, subject: str) -> Explanation:
        """Why a "run" or a "device" stands where it stands, and what to do next."""
        return self._get(f"{kind}s/{name(subject)}/explain", Explanation)

    def entries(self, **query: str | int) -> list[EntryView]:
        """The journal's entries; `query`: the route's own filters."""
        return self._list("audit/entries", EntryView, query)

    def verify(self) -> VerifyView:
        """Whether every entry of the journal fits, as the plane itself finds."""
        return self._get("audit/verify", VerifyView)

    def export(self) -> bytes:
        """The whole journal as JSON Lines, for an offline verification."""
        return self._send("GET", "audit/export")

    def openapi(self) -> bytes:
        """The OpenAPI document of this very plane."""
        return self._send("GET", "openapi.json")

    def keys(self) -> list[KeyView]:
        """The keys of the root document."""
        return self._list("keys", KeyView)

    def rotate_key(self, ask: RotateAsk) -> KeyView:
        """Let another key sign for a role. `OperatorFault(usage)`."""
        return self._post("keys/rotate", ask, KeyView)

    # -- runs ------------------------------------------------------------------------------------------------

    def runs(self, **query: str | int) -> list[RunView]:
        """Every run, newest first; `query`: the route's own filters."""
        return self._list("runs", RunView, query)

    def run(self, run: str) -> RunView:
        """One run by id, unique prefix, task name or @last; `OperatorFault(run-unknown | id-ambiguous)`."""
        return self._get(f"runs/{name(run)}", RunView)

    def task(self, run: str) -> bytes:
        """The canonical bytes of a run's task, whose SHA-256 is its digest. `OperatorFault(run-unknown)`."""
        return self._send("GET", f"runs/{name(run)}/task")

    def forecast(self, ask: ForecastAsk) -> Forecast:
        """What a task would find in this plane's fleet. `OperatorFault(task-invalid | expression-invalid)`."""
        return self._post("forecast", ask, Forecast)

    def submit(self, ask: RunAsk, key: str = "") -> RunMade:
        """Start a run; with the same `key` again it is the same run. Without one, this call makes its own."""
        return self._start("runs", ask, key)

    def retry(self, run: str, key: str = "") -> RunMade:
        """Start a new run from the last sealed version of `run`; `key` as of `submit`."""
        return self._start(f"runs/{name(run)}/retry", None, key)

    def stop(self, run: str, why: str = "") -> RunView:
        """Stop a run; its last sealed version stays. `OperatorFault(run-unknown | run-over)`."""
        return self._post(f"runs/{name(run)}/stop", StopAsk(why=why), RunView)

    def pause(self, run: str, now: bool = False, why: str = "") -> RunView:
        """Let a run come to rest after its present round, or now. `OperatorFault(run-unknown | run-over)`."""
        return self._post(f"runs/{name(run)}/pause", PauseAsk(now=now, why=why), RunView)

    def resume(self, run: str) -> RunView:
        """Let a paused run go on with the same round. `OperatorFault(run-unknown | run-not-paused)`."""
        return self._post(f"runs/{name(run)}/resume", None, RunView)

    def rounds(self, run: str, **query: str | int) -> list[RoundView]:
        """Every round of a run."""
        return self._list(f"runs/{name(run)}/rounds", RoundView, query)

    def round(self, run: str, number: int) -> RoundView:
        """One round of a run."""
        return self._get(f"runs/{name(run)}/rounds/{number}", RoundView)

    def leases(self, run: str, number: int, **query: str | int) -> list[LeaseView]:
        """The leases of one round."""
        return self._list(f"runs/{name(run)}/rounds/{number}/leases", LeaseView, query)

    # -- devices ---------------------------------------------------------------------------------------------

    def devices(self, **query: str | int) -> list[DeviceView]:
        """Every enrolled device, in order of enrolment; `query`: the route's own filters."""
        return self._list("devices", DeviceView, query)

    def fleet(self) -> FleetView:
        """The fleet counted by architecture, operating system and state."""
        return self._get("fleet", FleetView)

    def presence(self) -> PresenceView:
        """How many devices were online, and at work, over the last day."""
        return self._get("fleet/presence", PresenceView)

    def device(self, device: str) -> DeviceDetail:
        """One device with its facts and last leases."""
        return self._get(f"devices/{name(device)}", DeviceDetail)

    def device_leases(self, device: str, **query: str | int) -> list[LeaseView]:
        """Every lease of one device."""
        return self._list(f"devices/{name(device)}/leases", LeaseView, query)

    def mark(self, ask: MarkAsk) -> MarkDone:
        """Let devices be active, cordoned, drained or banned; with `dry_run` only say how many would be."""
        return self._post("devices/mark", ask, MarkDone)

    def token(self, ask: TokenAsk) -> TokenMade:
        """A new enrolment token."""
        return self._post("tokens", ask, TokenMade)

    # -- models ----------------------------------------------------------------------------------------------

    def versions(self, run: str = "", **query: str | int) -> list[VersionView]:
        """Every model version, oldest first; of `run` only, beginning with the version it began with, if named."""
        return self._list("versions", VersionView, {"run": run, **query})

    def version(self, version: str) -> VersionView:
        """One version by digest, unique prefix, alias or @last; `OperatorFault(version-unknown | id-ambiguous)`."""
        return self._get(f"versions/{name(version)}", VersionView)

    def blob(self, version: str) -> bytes:
        """The safetensors bytes of a version, not checked here."""
        return self._send("GET", f"versions/{name(version)}/blob")

    def statement(self, version: str) -> bytes:
        """The signed provenance of a version, a DSSE envelope, not verified here."""
        return self._send("GET", f"versions/{name(version)}/statement")

    def release(self, version: str, statement: bytes) -> ReleaseView:
        """Bring the offline release key's DSSE envelope over a version. `OperatorFault(release-invalid)`."""
        return self._post(
            f"versions/{name(version)}/release", ReleaseAsk(statement=msgspec.Raw(statement)), ReleaseView
        )

    def aliases(self) -> list[AliasView]:
        """Every alias and where it points."""
        return self._list("aliases", AliasView)

    def alias_moves(self, alias: str) -> list[AliasMoveView]:
        """Every move of an alias by somebody, newest first."""
        return self._list(f"aliases/{name(alias)}/moves", AliasMoveView)

    def promote(self, alias: str, ask: PromoteAsk) -> AliasView:
        """Let an alias name a version. `OperatorFault(not-released | alias-moved | alias-managed)`."""
        return self._post(f"aliases/{name(alias)}", ask, AliasView)

    def rollback(self, alias: str, ask: RollbackAsk) -> AliasView:
        """Let an alias name the version before its present one that was not rolled back itself, or one that it ever
        named. `OperatorFault(alias-moved)` if somebody moves it at the same time: without a `counter` it is read here.
        """
        if ask.counter < 0:
            stands = {each.alias: each.counter for each in self.aliases()}
            ask = msgspec.structs.replace(ask, counter=stands.get(alias, -1))
        return self._post(f"aliases/{name(alias)}/rollback", ask, AliasView)

    # -- services --------------------------------------------------------------------------------------------

    def services(self) -> list[ServiceView]:
        """Every service's credential, without its secret."""
        return self._list("services", ServiceView)

    def issue_service(self, ask: ServiceAsk) -> ServiceMade:
        """A new credential for a service, shown this once."""
        return self._post("services", ask, ServiceMade)

    def revoke_service(self, service: str) -> ServiceView:
        """End a service's credential at once. `OperatorFault(service-unknown)`."""
        return self._delete(f"services/{name(service)}", ServiceView)

    # -- webhooks --------------------------------------------------------------------------------------------

    def webhooks(self) -> list[WebhookView]:
        """Who is told of records, and how that goes."""
        return self._list("webhooks", WebhookView)

    def set_webhook(self, ask: WebhookAsk) -> WebhookMade:
        """Tell an address of records; its secret is shown this once. `OperatorFault(webhook-refused | usage)`."""
        return self._post("webhooks", ask, WebhookMade)

    def remove_webhook(self, webhook: str) -> WebhookView:
        """Tell nobody there any more. `OperatorFault(webhook-unknown)`."""
        return self._delete(f"webhooks/{name(webhook)}", WebhookView)

    def dead_letters(self, webhook: str = "") -> list[DeadLetterView]:
        """Deliveries that were given up, of one webhook or of all. `OperatorFault(webhook-unknown)`."""
        return self._list("dead-letters", DeadLetterView, {"webhook": webhook} if webhook else {})

    def retry_webhook(self, webhook: str) -> WebhookView:
        """Try every dead letter of a webhook once more. `OperatorFault(webhook-unknown)`."""
        return self._post(f"webhooks/{name(webhook)}/retry", None, WebhookView)

    def _start(self, path: str, ask: RunAsk | None, key: str) -> RunMade:
        """Start a run; a lost connection is tried once more under the same key, which cannot start a second."""
        key = key or secrets.token_hex(16)
        try:
            return self._post(path, ask, RunMade, key)
        except PlaneAway as error:
            if not error.again:
                raise
            return self._post(path, ask, RunMade, key)
