"""The changing verbs of the operator API on a real plane over real HTTP: what each does, twice, and what refuses it."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from podium.cli import aliases
from podium.cli.errors import exit_code
from podium.crypto.release import seal_release
from podium.plane.link import OperatorLink
from podium.server.identity import read_release_key, release_key_path
from podium.server.main import PlaneServer
from podium.wire.asks import MarkAsk, PromoteAsk, RollbackAsk
from podium.wire.limits import Limits
from podium.wire.operator import AliasView, RunView
from podium.wire.problems import OperatorFault
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.api_cases import linked
from tests.support.attacks import in_journal
from tests.support.plane_cases import FAST, Operator, enrolled, task

Plane = tuple[PlaneServer, Operator, OperatorLink]


@pytest.fixture(scope="module")
def plane_of_acts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One plane for every test of the file."""
    with linked(tmp_path_factory.mktemp("acts") / "data") as made:
        yield made


@pytest.fixture
def operator(plane_of_acts: Plane) -> Operator:
    return plane_of_acts[1]


@pytest.fixture
def link(plane_of_acts: Plane) -> Iterator[OperatorLink]:
    """The administrator's calls; no run is open and the plane is not frozen afterwards."""
    yield plane_of_acts[2]
    plane_of_acts[2].unfreeze()
    for run in plane_of_acts[2].runs():
        with contextlib.suppress(OperatorFault):  # it is over, or ends just now
            plane_of_acts[2].stop(run.id)


def code_of_fault(call: object, *args: object) -> str:
    """The code with which the plane refuses `call(*args)`."""
    assert callable(call)
    with pytest.raises(OperatorFault) as caught:
        call(*args)
    return caught.value.code


def sealed(operator: Operator, place: int = 0) -> RunView:
    """A finished run of one round with one device's one-hot update."""
    run = operator.submit(task())
    (device,) = enrolled(operator, 1)
    assert train(device, offer_to(device), place).word == "stored"
    view = ended(operator, run)
    assert view.state == "FINISHED"
    return view


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_pauses_resumes_and_stops_and_saying_so_again_is_no_fault(operator: Operator, link: OperatorLink) -> None:
    run = operator.submit(task())
    assert link.pause(run, why="lunch").state == "PAUSED", "nobody works yet, so it rests at once"
    assert link.pause(run).state == "PAUSED"
    view = link.run(run)
    assert view.paused_ms >= 0
    (device,) = enrolled(operator, 1)
    assert device.check_in().offer is None, "a paused run grants no lease"
    assert link.resume(run).state == "RUNNING"
    assert link.resume(run).state == "RUNNING"
    offer = offer_to(device)
    assert link.pause(run).state == "PAUSING"
    assert train(device, offer, 0).word == "stored"
    assert ended(operator, run).state != "PAUSED"
    stopped = operator.submit(task())
    assert link.stop(stopped, "enough").reason == "enough"
    for again in (link.stop, link.pause):
        assert code_of_fault(again, stopped) == "run-over"
    assert code_of_fault(link.resume, stopped) == "run-not-paused"
    for act in (link.stop, link.pause, link.resume, link.retry):
        assert code_of_fault(act, "nothing") == "run-unknown"
    assert code_of_fault(link.stop, stopped, "two\nlines") == "usage"
    in_journal(operator, b'"kind":"run-paused"', b'"reason":"lunch"', b'"tree":"plane"')


def test_a_retry_goes_on_from_the_last_sealed_version_of_a_run_that_did_not_finish(
    operator: Operator, link: OperatorLink
) -> None:
    assert code_of_fault(link.retry, sealed(operator).id) == "run-over", "what finished has nothing left to retry"
    run = operator.submit(task(goal=1, rounds=3))
    (device,) = enrolled(operator, 1)
    assert code_of_fault(link.retry, run) == "run-open"
    assert train(device, offer_to(device), 3).word == "stored"
    while link.run(run).rounds_sealed == 0:
        device.check_in()
    stopped = link.stop(run)
    made = link.retry(run, "once")
    view = link.run(made.run)
    assert (view.retry_of, view.base, view.task_digest) == (run, stopped.base, stopped.task_digest)
    assert view.first == stopped.base != stopped.first, "it begins with the version that was sealed"
    assert link.retry(run, "once") == made, "the same key is the same run"
    assert link.retry(run).run != made.run


# -- the kill switch -----------------------------------------------------------------------------------------------


def test_a_frozen_plane_grants_nothing_and_with_revoke_takes_back_what_it_granted(
    operator: Operator, link: OperatorLink
) -> None:
    run = operator.submit(task(goal=2, minimum=1, rounds=2))
    first, second = enrolled(operator, 2)
    second.check_in()
    offer = offer_to(first)
    frozen = link.freeze(why="drill")
    assert (frozen.frozen, frozen.why, frozen.actor) == (True, "drill", "person:administrator")
    assert link.freeze(why="again").why == "drill", "freezing a frozen plane changes nothing"
    assert second.check_in().offer is None
    assert link.status().freeze.frozen and link.run(run).frozen
    assert train(first, offer, 1).word == "stored", "what was granted goes on"
    link.unfreeze()
    held = offer_to(second)
    link.freeze(revoke=True)
    assert not lease_of(link, second.device_id)
    in_journal(operator, held.lease.encode(), b'"state":"REVOKED"', b'"plane-frozen"')
    assert not link.unfreeze("over").frozen
    assert not link.unfreeze().frozen


# -- devices -------------------------------------------------------------------------------------------------------


def test_devices_are_marked_by_name_or_by_label_and_a_dry_run_only_counts(
    operator: Operator, link: OperatorLink
) -> None:
    south = enrolled(operator, 3, site="south")
    ids = [device.device_id for device in south]
    dry = link.mark(MarkAsk(mark="cordoned", labels={"site": "south"}, dry_run=True))
    assert (dry.dry_run, dry.matched, dry.changed, dry.at_work) == (True, 3, 3, 0)
    assert sorted(dry.devices) == sorted(ids)
    assert states(link, ids) == ["active"] * 3
    done = link.mark(MarkAsk(mark="cordoned", labels={"site": "south"}, why="maintenance"))
    assert (done.dry_run, done.changed, states(link, ids)) == (False, 3, ["cordoned"] * 3)
    assert link.mark(MarkAsk(mark="cordoned", labels={"site": "south"})).changed == 0
    assert link.mark(MarkAsk(mark="active", devices=(ids[0], ids[0], ids[1][:10]))).matched == 2
    assert states(link, ids) == ["active", "active", "cordoned"]
    assert link.mark(MarkAsk(mark="active", labels={"site": "south", "name": "device-2"})).changed == 1
    assert link.mark(MarkAsk(mark="banned", labels={"site": "nowhere"})).matched == 0
    for unclear in (
        MarkAsk(mark="gone", devices=(ids[0],)),
        MarkAsk(mark="banned"),
        MarkAsk(mark="banned", devices=(ids[0],), labels={"site": "south"}),
    ):
        assert code_of_fault(link.mark, unclear) == "usage"
    assert code_of_fault(link.mark, MarkAsk(mark="banned", devices=("nobody",))) == "not-found"
    assert states(link, ids) == ["active"] * 3


def test_draining_revokes_the_lease_that_cordoning_leaves(operator: Operator, link: OperatorLink) -> None:
    operator.submit(task())
    (device,) = enrolled(operator, 1, site="drained")
    offer_to(device)
    cordoned = link.mark(MarkAsk(mark="cordoned", devices=(device.device_id,)))
    assert (cordoned.changed, cordoned.at_work) == (1, 1)
    assert lease_of(link, device.device_id)
    drained = link.mark(MarkAsk(mark="drained", labels={"site": "drained"}))
    assert (drained.changed, drained.at_work) == (1, 1), "its state stays, its lease ends"
    assert not lease_of(link, device.device_id)
    assert link.mark(MarkAsk(mark="drained", labels={"site": "drained"})).changed == 0


def test_one_mark_takes_a_bounded_number_of_devices(tmp_path: Path) -> None:
    few = msgspec.structs.replace(FAST, marked_devices_max=2)
    with linked(tmp_path / "data", few) as (_, operator, link):
        ids = tuple(device.device_id for device in enrolled(operator, 3, site="north"))
        assert code_of_fault(link.mark, MarkAsk(mark="banned", labels={"site": "north"})) == "usage"
        assert code_of_fault(link.mark, MarkAsk(mark="banned", devices=ids)) == "usage"
        assert states(link, list(ids)) == ["active"] * 3
        assert link.mark(MarkAsk(mark="banned", devices=ids[:2])).changed == 2
    assert Limits().marked_devices_max >= 1_000


def states(link: OperatorLink, ids: list[str]) -> list[str]:
    known = {row.id: row.state for row in link.devices()}
    return [known[device] for device in ids]


def lease_of(link: OperatorLink, device: str) -> str:
    return next(row.lease for row in link.devices() if row.id == device)


# -- models --------------------------------------------------------------------------------------------------------


def test_an_alias_is_promoted_and_rolled_back_and_knows_how_it_stood(operator: Operator, link: OperatorLink) -> None:
    first, second = sealed(operator).base, sealed(operator, place=1).base
    alias = "one-hot@candidate"
    moved = link.promote(alias, PromoteAsk(version=first, why="best so far"))
    assert (moved.version, moved.why, moved.actor) == (first, "best so far", "person:administrator")
    again = link.promote(alias, PromoteAsk(version=first))
    assert again.counter == moved.counter, "naming what it names changes nothing"
    assert code_of_fault(link.rollback, alias, RollbackAsk()) == "usage", "there is no version before it"
    link.promote(alias, PromoteAsk(version=second, counter=moved.counter))
    assert code_of_fault(link.promote, alias, PromoteAsk(version=first, counter=moved.counter)) == "alias-moved"
    back = link.rollback(alias, RollbackAsk(why="worse"))
    assert back.version == first
    assert code_of_fault(link.rollback, alias, RollbackAsk(counter=back.counter - 1)) == "alias-moved"
    assert link.rollback(alias, RollbackAsk(version=second)).version == second
    for name, ask, code in (
        (alias, PromoteAsk(version="nothing"), "version-unknown"),
        ("other@candidate", PromoteAsk(version=first), "usage"),
        ("one-hot@latest", PromoteAsk(version=first), "alias-managed"),
        ("one-hot", PromoteAsk(version=first), "usage"),
        ("one-hot@nonsense", PromoteAsk(version=first), "alias-unknown"),
        ("one-hot@production", PromoteAsk(version=first), "not-released"),
    ):
        assert code_of_fault(link.promote, name, ask) == code, name
    assert not any(each.alias.endswith("nonsense") for each in link.aliases())
    with pytest.raises(OperatorFault, match="the nearest known one is one-hot@canary"):
        link.promote("one-hot@canry", PromoteAsk(version=first))
    assert code_of_fault(link.rollback, "one-hot@nothing", RollbackAsk()) == "not-found"
    assert code_of_fault(link.rollback, alias, RollbackAsk(version="nothing")) == "version-unknown"


def test_rollbacks_go_further_back_and_of_two_at_once_one_is_refused(operator: Operator, link: OperatorLink) -> None:
    alias = "one-hot@canary"
    digests = [sealed(operator, place=place).base for place in (2, 3, 4)]
    for digest in digests:
        link.promote(alias, PromoteAsk(version=digest))
    with ThreadPoolExecutor(2) as pool:
        tries = [pool.submit(link_of(operator).rollback, alias, RollbackAsk(counter=3)) for _ in range(2)]
    faults = [each.exception() for each in tries]
    assert [fault.code for fault in faults if isinstance(fault, OperatorFault)] == ["alias-moved"]
    assert link.alias_moves(alias)[0].version == digests[1]
    assert link.rollback(alias, RollbackAsk()).version == digests[0]
    assert code_of_fault(link.rollback, alias, RollbackAsk()) == "usage", "the others were rolled back themselves"
    assert [move.back for move in link.alias_moves(alias)] == [True, True, False, False, False]
    assert link.rollback(alias, RollbackAsk(version=digests[2])).version == digests[2], "by name, to any of its own"
    assert link.rollback(alias, RollbackAsk()).version == digests[0]


def test_the_command_line_names_the_counter_that_it_read(
    plane_of_acts: Plane, link: OperatorLink, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias = "one-hot@canary"
    first, second = sealed(operator, place=5).base, sealed(operator, place=6).base
    link.promote(alias, PromoteAsk(version=first))
    link.promote(alias, PromoteAsk(version=second))
    rollback = OperatorLink.rollback

    def late(mine: OperatorLink, name: str, ask: RollbackAsk) -> AliasView:
        """Somebody else is faster."""
        rollback(link, name, RollbackAsk())
        return rollback(mine, name, ask)

    monkeypatch.setattr(OperatorLink, "rollback", late)
    with pytest.raises(OperatorFault, match="alias-moved") as caught:
        aliases.rollback(data=plane_of_acts[0].data, plane="", token_file=None, alias=alias)
    assert exit_code(caught.value) == 5
    assert link.alias_moves(alias)[0].version == first


def link_of(operator: Operator) -> OperatorLink:
    """Another connection of the same person."""
    return OperatorLink(operator.url, operator.headers["authorization"].removeprefix("Bearer "))


def test_only_the_release_key_s_statement_over_this_very_version_releases_it(
    plane_of_acts: Plane, operator: Operator, link: OperatorLink
) -> None:
    server = plane_of_acts[0]
    assert server.plane is not None
    view = sealed(operator)
    document = server.plane.parts.identity.document
    seed = read_release_key(release_key_path(server.data))
    good = seal_release(document, seed, view.base, view.task_digest)
    for bad in (
        seal_release(document, seed, "sha256:" + "0" * 64, view.task_digest),
        seal_release(document, seed, view.base, ""),
        good.replace(b'"payload":"', b'"payload":"e30'),
        b"{}",
        b"[]",
    ):
        assert code_of_fault(link.release, view.base, bad) == "release-invalid"
    assert code_of_fault(link.release, "nothing", good) == "version-unknown"
    assert code_of_fault(link.promote, "one-hot@production", PromoteAsk(version=view.base)) == "not-released"
    released = link.release(view.base, good)
    assert released.version == view.base and released.key_id
    assert link.release(view.base, good).statement == released.statement, "again it changes nothing"
    assert link.version(view.base).released
    assert link.promote("one-hot@production", PromoteAsk(version=view.base)).version == view.base
    kept = server.plane.parts.blobs.get(released.statement)
    assert kept == good, "the statement stays for whoever wants to verify it"
