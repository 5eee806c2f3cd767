"""What can go wrong, once: stable codes, whose fault each is, and what to do next.

Decides: code -> (number, HTTP status, title, next step). Never: when one is raised.
A problem travels as RFC 9457 `application/problem+json` and is shown to a person as
`error[P<number> <code>]: what` with `why` and `next` lines.
"""

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """One kind of problem: `number` is stable for ever, `status` is the HTTP status, `next` a sentence."""

    number: int
    status: int
    title: str
    next: str


KINDS: dict[str, Kind] = {
    # 1xxx: the device or what it sent
    "body-too-large": Kind(1001, 413, "the request body is too large", "send a smaller body"),
    "body-malformed": Kind(1002, 400, "the request body does not decode", "send what the protocol reference describes"),
    "body-not-canonical": Kind(
        1003, 400, "the signed bytes are not canonical", "re-encode as the protocol reference says and sign again"
    ),
    "signature-invalid": Kind(1004, 401, "a signature does not verify", "sign with the enrolled key"),
    "mac-invalid": Kind(1005, 401, "the request's MAC does not verify", "open a new session"),
    "counter-replayed": Kind(1006, 409, "the request's counter was used before", "send the next counter"),
    "session-unknown": Kind(1007, 401, "the session is unknown or over", "open a new session"),
    "challenge-expired": Kind(1008, 401, "the challenge is over or was not made here", "ask for a new challenge"),
    "epoch-stale": Kind(1009, 409, "a newer session of this device exists", "open a new session with a higher epoch"),
    "token-invalid": Kind(
        1010, 401, "the enrolment token is unknown, used or over", "ask the operator for a new token"
    ),
    "device-unknown": Kind(1011, 401, "no such device is enrolled here", "enrol again"),
    "device-banned": Kind(1012, 403, "this device was banned", "ask the operator"),
    "lease-unknown": Kind(1013, 404, "no such lease of this device", "check in again"),
    "lease-over": Kind(1014, 409, "the lease is over", "check in again"),
    "conflicting-repeat": Kind(
        1015, 409, "the same step was told before with another body", "repeat the first body or check in again"
    ),
    "base-mismatch": Kind(
        1016, 409, "the update names another base version than its lease", "train on the lease's base"
    ),
    "task-mismatch": Kind(1017, 409, "the report names another task than its lease", "train the lease's task"),
    "digest-mismatch": Kind(1018, 422, "the stored bytes have another SHA-256 than the report", "upload again"),
    "size-mismatch": Kind(1019, 422, "the stored bytes have another length than the report", "upload again"),
    "chunk-broken": Kind(1020, 422, "a chunk is not what its digest or length says", "send the chunk again"),
    "offset-wrong": Kind(1021, 409, "the upload goes on at another offset", "ask with HEAD how far it got"),
    "update-too-large": Kind(1022, 413, "the update is larger than the round allows", "train the lease's task"),
    "unseal-failed": Kind(
        1023, 422, "the sealed update does not open", "seal to the manifest's key, bound to lease and base"
    ),
    "schema-mismatch": Kind(
        1024, 422, "names, shapes or types differ from the base version", "send every tensor of the base as float32"
    ),
    "not-finite": Kind(1025, 422, "the update holds NaN or infinity", "check the training"),
    "value-bound": Kind(1026, 422, "a value is above aggregate.value_abs_max", "check the training or the bound"),
    "norm-bound": Kind(1027, 422, "the norm is above aggregate.norm_max", "check the training or the bound"),
    "weight-bound": Kind(1028, 422, "the weight is not within (0, weight_max]", "check the weight or the bound"),
    "metric-invalid": Kind(
        1029, 422, "a metric is not a finite numerator over a positive denominator", "check the plan's metrics"
    ),
    "plan-raised": Kind(1030, 422, "the plan raised an error on the device", "read the traceback: podium device logs"),
    "lease-lapsed": Kind(1031, 409, "the lease lapsed without progress", "check in again"),
    "not-found": Kind(1032, 404, "there is nothing here under that name", "check the name"),
    "range-invalid": Kind(1033, 416, "the range cannot be served", "ask for a range within the blob"),
    "overloaded": Kind(1034, 503, "the plane is full at the moment", "come back in the window given"),
    "plan-mismatch": Kind(
        1035, 409, "the installed plan is not one the task allows", "install the plan's distribution again"
    ),
    "manifest-invalid": Kind(1036, 502, "the plane's signed answer does not verify", "do not train; tell the operator"),
    "method-not-allowed": Kind(1037, 405, "that method is not served here", "see the protocol reference"),
    "update-forged": Kind(
        1038, 409, "the report is signed by another key than the lease's device", "sign with the enrolled key"
    ),
    "fact-absurd": Kind(1039, 422, "a fact is outside what can be", "leave out what is not known; mend the probe"),
    # 2xxx: the operator or what was asked for
    "task-invalid": Kind(2001, 422, "the task file does not hold", "mend the named key"),
    "task-unknown-key": Kind(2002, 422, "the task file has an unknown key", "use the nearest known key"),
    "expression-invalid": Kind(2003, 422, "an eligibility expression does not compile", "mend the expression"),
    "plan-missing": Kind(2004, 422, "the plan cannot be imported", "install the plan's package"),
    "plan-dev": Kind(2005, 422, "the plan is an editable install", "install it, or pass --allow-dev-plans"),
    "not-available": Kind(2006, 422, "this release does not offer that yet", "choose one of the named values"),
    "run-unknown": Kind(2010, 404, "no such run", "podium status lists the runs"),
    "run-over": Kind(2011, 409, "the run is over", "podium run starts another"),
    "id-ambiguous": Kind(2012, 409, "the prefix names more than one", "give more characters"),
    "version-unknown": Kind(2013, 404, "no such model version", "podium model list shows them"),
    "alias-moved": Kind(2014, 409, "the alias moved meanwhile", "read it again"),
    "run-open": Kind(2015, 409, "the run is not over", "stop it first, or let it end"),
    "run-not-paused": Kind(2016, 409, "the run is not paused", "podium status says how it stands"),
    "not-released": Kind(
        2017, 409, "no present release key signed for the version", "podium model release DIGEST --key FILE, offline"
    ),
    "alias-managed": Kind(2018, 409, "the plane itself moves this alias", "choose another alias"),
    "release-invalid": Kind(2019, 422, "the release does not verify", "sign it with this plane's release key"),
    "limit-invalid": Kind(2020, 422, "a limit cannot be set so", "podium serve --help names the settings"),
    "credential-missing": Kind(2030, 401, "no credential was given", "pass --token-file or --data"),
    "credential-invalid": Kind(2031, 401, "the credential is not known here", "pass the credential of this plane"),
    "verb-denied": Kind(2032, 403, "this role may not do that", "use the administrator credential"),
    "plane-unreachable": Kind(2033, 503, "no plane answers there", "start one: podium serve --data DIR"),
    "plane-foreign": Kind(2034, 409, "another plane answers there", "check --data and --plane"),
    "port-in-use": Kind(2035, 409, "the port is taken", "choose another --port, or 0 for a free one"),
    "data-in-use": Kind(2036, 409, "another plane holds this data directory", "stop it, or choose another --data"),
    "data-newer": Kind(2037, 409, "the data directory was written by a newer release", "install that release"),
    "data-missing": Kind(2038, 404, "there is no plane's data there", "check --data"),
    "cohort-short": Kind(
        2041, 409, "a round cannot start: too few devices", "wait, lower round.minimum, or enrol devices"
    ),
    "journal-broken": Kind(2050, 409, "the journal does not verify", "compare with a kept head; restore a backup"),
    "file-unreadable": Kind(2051, 422, "the file cannot be read", "check the path"),
    "usage": Kind(2052, 422, "the command was given wrongly", "see --help"),
    "checksum-wrong": Kind(2053, 422, "installed data is not what this release pins", "install the pinned version"),
    "run-limit": Kind(2054, 409, "too many runs are active", "stop one first"),
    "service-unknown": Kind(2055, 404, "no such service credential", "podium auth list shows them"),
    "webhook-unknown": Kind(2056, 404, "no such webhook", "podium webhook list shows them"),
    "webhook-refused": Kind(2057, 422, "the webhook's address is not allowed", "give an https address of another host"),
    "backup-invalid": Kind(2058, 422, "the backup does not hold", "take another backup"),
    "viewers-full": Kind(2059, 503, "too many watch this plane at once", "close some, or ask again later"),
    "form-refused": Kind(
        2060, 403, "the form was not sent by a page of this console", "open the page again, then send"
    ),
    "sign-in-limited": Kind(2061, 429, "too many wrong credentials from this address", "wait a minute"),
    "mlflow-failed": Kind(2062, 502, "the MLflow server did not take it", "export again: nothing is doubled"),
    "alias-unknown": Kind(
        2063, 422, "no alias has that name", "name it candidate, canary or production; latest is the plane's own"
    ),
    "name-taken": Kind(
        2064, 409, "a living credential has that name", "choose another name, or revoke that one: podium auth revoke"
    ),
    # 3xxx: the store
    "store-full": Kind(3001, 503, "the disk is full", "free some space; nothing acknowledged was lost"),
    "store-failed": Kind(3002, 503, "the store failed", "look at the disk; the plane reloads by itself"),
    "store-unknown": Kind(3003, 503, "the outcome of a commit is unknown", "the plane reloads by itself"),
    "store-corrupt": Kind(
        3004, 500, "the store holds something that cannot be", "podium audit verify names the first entry"
    ),
    "key-erased": Kind(3005, 410, "the upload key was erased", "the round is abandoned and done again"),
    # 9xxx: ours
    "bug": Kind(9001, 500, "Podium broke one of its own rules", "report it with the story given"),
}


class PodiumError(Exception):
    """A problem with a stable `code`; `what` was attempted on what, `why` it failed, `next` to do.

    Use one of the four subclasses: they say whose fault it is.
    """

    def __init__(self, code: str, *, what: str = "", why: str = "", next: str = "") -> None:
        self.code = code
        self.kind = KINDS[code]
        self.what = what or self.kind.title
        self.why = why
        self.next = next or self.kind.next
        super().__init__(f"{code}: {self.what}" + (f" ({why})" if why else ""))


class DeviceFault(PodiumError):
    """The device, or what it sent, is at fault; the code goes back to it."""


class OperatorFault(PodiumError):
    """What a person or a service asked for cannot be done."""


class StoreFault(PodiumError):
    """The store failed; `retryable` says whether trying again can help."""

    def __init__(self, code: str, *, what: str = "", why: str = "", next: str = "", retryable: bool = False) -> None:
        super().__init__(code, what=what, why=why, next=next)
        self.retryable = retryable


class Bug(PodiumError):
    """Podium broke one of its own rules; `why` carries the story of the entity."""

    def __init__(self, why: str) -> None:
        super().__init__("bug", why=why)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457 problem details, with the return window a device should keep (ms, 0 = none)."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    why: str = ""
    next: str = ""
    return_ms: int = 0


def problem(error: PodiumError, return_ms: int = 0) -> Problem:
    """The wire form of `error`."""
    return Problem(
        type=f"urn:podium:problem:{error.code}",
        title=error.kind.title,
        status=error.kind.status,
        code=error.code,
        detail=error.what,
        why=error.why,
        next=error.next,
        return_ms=return_ms,
    )
