"""The changing rows of the operator API's table: each names its verb, its body and the problems it may meet.

Decides: nothing but what is served where. Never: what a verb does (acts.py, submission.py).
"""

from podium.server.operators.acts import Acts
from podium.server.operators.route_table import AnyRoute, Route
from podium.server.operators.submission import Submission
from podium.wire import asks, operator

_RUN = ("run-unknown", "id-ambiguous", "usage")
_STARTS = ("version-unknown", "run-limit", "conflicting-repeat", "id-ambiguous", "usage")
_ALIAS = ("version-unknown", "id-ambiguous", "alias-moved", "alias-managed", "alias-unknown", "not-released", "usage")


def act_routes(acts: Acts, submission: Submission) -> list[AnyRoute]:
    """Every changing route but those that other rooms add."""
    return [
        *_runs(acts, submission),
        *_fleet(acts, submission),
        *_models(acts),
        *_services(acts),
    ]


def _runs(acts: Acts, submission: Submission) -> list[AnyRoute]:
    return [
        Route(
            method="POST",
            path="/api/v1/runs",
            verb="runs.submit",
            summary="Start a run of a task",
            ask=asks.RunAsk,
            answer=operator.RunMade,
            call=lambda call: submission.submit(call.actor, call.ask, call.key),
            status=201,
            codes=(
                *_STARTS,
                "task-invalid",
                "task-unknown-key",
                "alias-unknown",
                "expression-invalid",
                "not-available",
                "plan-dev",
                "body-not-canonical",
            ),
            keyed=True,
            large=True,
        ),
        Route(
            method="POST",
            path="/api/v1/runs/{id}/retry",
            verb="runs.retry",
            summary="Start a new run from the last sealed version of one that was stopped, timed out or abandoned",
            ask=asks.Ask,
            answer=operator.RunMade,
            call=lambda call: submission.retry(call.actor, call.id, call.key),
            status=201,
            codes=(*_STARTS, "run-unknown", "run-open", "run-over"),
            keyed=True,
        ),
        Route(
            method="POST",
            path="/api/v1/runs/{id}/stop",
            verb="runs.stop",
            summary="End a run; its last sealed version stays",
            ask=asks.StopAsk,
            answer=operator.RunView,
            call=lambda call: acts.stop(call.actor, call.id, call.ask),
            codes=(*_RUN, "run-over"),
        ),
        Route(
            method="POST",
            path="/api/v1/runs/{id}/pause",
            verb="runs.pause",
            summary="Let a run come to rest after its present round, or now",
            ask=asks.PauseAsk,
            answer=operator.RunView,
            call=lambda call: acts.pause(call.actor, call.id, call.ask),
            codes=(*_RUN, "run-over"),
        ),
        Route(
            method="POST",
            path="/api/v1/runs/{id}/resume",
            verb="runs.pause",
            summary="Let a paused run go on with the same round",
            ask=asks.Ask,
            answer=operator.RunView,
            call=lambda call: acts.resume(call.actor, call.id),
            codes=(*_RUN, "run-not-paused"),
        ),
    ]


def _fleet(acts: Acts, submission: Submission) -> list[AnyRoute]:
    return [
        Route(
            method="POST",
            path="/api/v1/freeze",
            verb="plane.freeze",
            summary="Grant no lease from now on, anywhere; with `revoke` the running ones end too",
            ask=asks.FreezeAsk,
            answer=operator.FreezeView,
            call=lambda call: acts.freeze(call.actor, call.ask),
            codes=("usage",),
        ),
        Route(
            method="POST",
            path="/api/v1/unfreeze",
            verb="plane.freeze",
            summary="Grant leases again",
            ask=asks.FreezeAsk,
            answer=operator.FreezeView,
            call=lambda call: acts.unfreeze(call.actor, call.ask),
            codes=("usage",),
        ),
        Route(
            method="POST",
            path="/api/v1/devices/mark",
            verb="devices.mark",
            summary="Let devices be active, cordoned, drained or banned; with `dry_run` only say how many would be",
            ask=asks.MarkAsk,
            answer=operator.MarkDone,
            call=lambda call: acts.mark(call.actor, call.ask),
            codes=("usage", "not-found", "id-ambiguous", "device-unknown"),
        ),
        Route(
            method="POST",
            path="/api/v1/tokens",
            verb="tokens.issue",
            summary="Make an enrolment token; it is shown this once",
            ask=asks.TokenAsk,
            answer=operator.TokenMade,
            call=lambda call: submission.issue_token(call.actor, call.ask),
            status=201,
            codes=("usage", "not-available"),
        ),
    ]


def _models(acts: Acts) -> list[AnyRoute]:
    return [
        Route(
            method="POST",
            path="/api/v1/aliases/{id}",
            verb="versions.promote",
            summary="Let an alias, such as kb@production, name a version",
            ask=asks.PromoteAsk,
            answer=operator.AliasView,
            call=lambda call: acts.promote(call.actor, call.id, call.ask),
            codes=_ALIAS,
        ),
        Route(
            method="POST",
            path="/api/v1/aliases/{id}/rollback",
            verb="versions.promote",
            summary="Let an alias name the version before that was not rolled back, or one that it ever named, again",
            ask=asks.RollbackAsk,
            answer=operator.AliasView,
            call=lambda call: acts.rollback(call.actor, call.id, call.ask),
            codes=(*_ALIAS, "not-found"),
        ),
        Route(
            method="POST",
            path="/api/v1/versions/{id}/release",
            verb="versions.release",
            summary="Keep the offline release key's statement over a version, once it is verified",
            ask=asks.ReleaseAsk,
            answer=operator.ReleaseView,
            call=lambda call: acts.release(call.actor, call.id, call.ask),
            codes=("version-unknown", "id-ambiguous", "release-invalid"),
        ),
    ]


def _services(acts: Acts) -> list[AnyRoute]:
    return [
        Route(
            method="POST",
            path="/api/v1/services",
            verb="services.issue",
            summary="Make a service's credential for some verbs; it is shown this once",
            ask=asks.ServiceAsk,
            answer=operator.ServiceMade,
            call=lambda call: acts.issue_service(call.who, call.ask),
            status=201,
            codes=("usage", "name-taken"),
        ),
        Route(
            method="DELETE",
            path="/api/v1/services/{id}",
            verb="services.issue",
            summary="End a service's credential at once, and those that it issued",
            ask=asks.Ask,
            answer=operator.ServiceView,
            call=lambda call: acts.revoke_service(call.who, call.id),
            codes=("service-unknown", "id-ambiguous"),
        ),
    ]
