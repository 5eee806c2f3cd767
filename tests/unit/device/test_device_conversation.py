"""The device's conversation over real HTTP: each step does what the protocol reference says."""

import logging
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from podium.tasks.digest import task_digest
from podium.wire import messages as m
from podium.wire.canonical import decode_canonical, parse_decimal, unb64
from tests.support.device_bench import model, quick_device, task
from tests.support.loopback import Answer
from tests.support.scripted_plane import WINDOW_ELSE, WINDOW_OK, Arrays, Misdeed, ScriptedPlane


@pytest.fixture(name="plane")
def _plane() -> Iterator[ScriptedPlane]:
    with ScriptedPlane() as plane:
        yield plane


def test_one_update_in_exactly_these_requests(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    with quick_device(plane) as device:
        outcome = device.run_once()
    assert (outcome.word, outcome.lease, outcome.wait_ms) == ("stored", lease.id, WINDOW_OK)
    lines = [line for line, status in plane.log if status == 200]
    base = f"/v1/leases/{lease.id}"
    assert lines == [
        "POST /v1/enrol",
        "POST /v1/session/challenge",
        "POST /v1/session",
        "POST /v1/checkin",
        f"GET /v1/blobs/{lease.offer.manifest}",
        f"POST {base}/accept",
        f"GET /v1/blobs/{lease.offer.base}",
        f"POST {base}/progress",
        f"PUT {base}/upload?offset=0",
        f"POST {base}/report",
    ]
    assert plane.faults == []


def test_the_update_is_trained_minus_base_of_the_float_tensors(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(add=0.25), model(), 1))
    with quick_device(plane) as device:
        device.run_once()
    update = plane.update(lease)
    assert sorted(update) == ["a", "b"]
    assert update["b"].shape == (4, 1)
    for tensor in update.values():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, np.full_like(tensor, 0.25))


def test_the_report_names_lease_task_base_and_what_was_done(plane: ScriptedPlane) -> None:
    terms = task(steps=3)
    lease = plane.offer(plane.manifest(terms, model(), 1))
    with quick_device(plane) as device:
        device.run_once()
    assert lease.report is not None
    report = decode_canonical(unb64(lease.report.payload), m.Report)
    assert (report.lease, report.base, report.task_digest) == (lease.id, lease.offer.base, task_digest(terms))
    assert (report.steps_done, parse_decimal(report.weight)) == (3, 3.0)
    assert report.metrics == {"loss": m.Metric(numerator="1.5", denominator="3")}


def test_doubles_are_subtracted_before_they_are_rounded(plane: ScriptedPlane) -> None:
    big: Arrays = {"w": np.array([2.0**30], dtype=np.float64)}
    lease = plane.offer(plane.manifest(task(add=0.5), big, 1))
    with quick_device(plane) as device:
        device.run_once()
    assert plane.update(lease)["w"].tolist() == [0.5]


def test_an_evaluation_uploads_nothing(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task("measure", kind="evaluate"), model(), 1))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
    assert plane.requests("/upload") == 0
    assert lease.report is not None
    report = decode_canonical(unb64(lease.report.payload), m.Report)
    assert (report.length, report.sealed_key) == (0, "")
    assert report.metrics["mean"] == m.Metric(numerator="15", denominator="9")


def test_a_large_update_goes_in_chunks_of_one_mebibyte(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(700_000), 1))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
    assert sorted(lease.chunks) == [0, 1 << 20, 2 << 20]
    assert all(len(lease.chunks[offset]) == 1 << 20 for offset in (0, 1 << 20))
    np.testing.assert_array_equal(plane.update(lease)["a"], np.ones(350_000, np.float32))


def test_no_offer_is_idle_and_comes_back_in_the_other_window(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        outcome = device.run_once()
    assert (outcome.word, outcome.code, outcome.wait_ms) == ("idle", "no-task", WINDOW_ELSE)


def test_waiting_is_told_once_and_what_happens_each_time(
    plane: ScriptedPlane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "podium.device")
    seen = 0
    with quick_device(plane) as device:

        def count(answer: Answer) -> Answer:
            nonlocal seen
            seen += 1
            if seen == 3:
                plane.offer(plane.manifest(task(), model(), 1))
            if seen == 7:
                device.stop()
            return answer

        plane.misdeeds.append(Misdeed(match="/v1/checkin", times=7, after=count))
        device.run_forever()
    told = [each for each in caplog.records if "back in" in each.message]
    assert [each.message.split()[0].strip(",") for each in told if each.levelno == logging.INFO] == [
        "idle",
        "stored",
        "idle",
    ]
    assert len(told) == 7


def test_capabilities_tell_plans_but_not_how_much_data(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        device.plans = ("device_plans:add_one", "no_such_module:train")
        device.run_once()
    told = plane.capabilities[0]
    assert list(told.plans) == ["device_plans:add_one"]
    assert told.datasets == {"rows": 0}


def test_datasets_that_may_be_told_are_counted(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        device.told = frozenset({"rows"})
        device.run_once()
    assert plane.capabilities[0].datasets == {"rows": 3}


def test_too_few_examples_are_declined_as_private(plane: ScriptedPlane) -> None:
    terms = task()
    terms = msgspec.structs.replace(terms, data=msgspec.structs.replace(terms.data, examples_min=4))
    lease = plane.offer(plane.manifest(terms, model(), 1))
    with quick_device(plane) as device:
        outcome = device.run_once()
    assert (outcome.word, outcome.code) == ("declined", "private")
    assert lease.told == [m.Decline(reason="private")]


def test_a_task_whose_dataset_is_missing_is_declined_as_private(plane: ScriptedPlane) -> None:
    terms = task()
    terms = msgspec.structs.replace(terms, data=msgspec.structs.replace(terms.data, datasets=("rows", "secret")))
    lease = plane.offer(plane.manifest(terms, model(), 1))
    with quick_device(plane) as device:
        device.run_once()
    assert lease.told == [m.Decline(reason="private")]


def test_separation_is_kept_by_the_device_too(plane: ScriptedPlane) -> None:
    terms = task()
    terms = msgspec.structs.replace(terms, select=msgspec.structs.replace(terms.select, separation=3_600_000))
    plane.offer(plane.manifest(terms, model(), 1))
    second = plane.offer(plane.manifest(terms, model(), 2))
    with quick_device(plane) as device:
        assert device.run_once().word == "stored"
        outcome = device.run_once()
    assert (outcome.word, outcome.code) == ("declined", "private")
    assert second.state == "DECLINED"


def test_a_lapsed_session_is_replaced_under_a_higher_epoch(plane: ScriptedPlane) -> None:
    with quick_device(plane) as device:
        device.run_once()
        plane.sessions.clear()
        assert device.run_once().word == "idle"
        plane.session_ms = 0
        plane.sessions.clear()
        device.run_once()
        device.run_once()
    (epochs,) = plane.epochs.values()
    assert len(epochs) == 4
    assert epochs == sorted(set(epochs))


def test_superseded_is_no_failure(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    plane.word["report"] = m.LeaseAnswer(word="superseded", window_ok_ms=7, window_else_ms=9)
    with quick_device(plane) as device:
        outcome = device.run_once()
        assert (outcome.word, outcome.lease, outcome.wait_ms) == ("superseded", lease.id, 7)
        device.run_once()
    assert plane.check_ins[1].losses == ()


def test_superseded_at_accept_ends_before_the_base_is_fetched(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    plane.word["accept"] = m.LeaseAnswer(word="superseded", window_ok_ms=7, window_else_ms=9)
    with quick_device(plane) as device:
        assert device.run_once().word == "superseded"
    assert plane.requests(lease.offer.base) == 0


def test_a_refused_report_is_told_as_a_loss_next_time(plane: ScriptedPlane) -> None:
    plane.offer(plane.manifest(task(), model(), 1)).state = "OFFERED"
    plane.word["report"] = m.LeaseAnswer(word="refused", code="norm-bound", window_ok_ms=7, window_else_ms=9)
    with quick_device(plane) as device:
        outcome = device.run_once()
        assert (outcome.word, outcome.code, outcome.wait_ms) == ("refused", "norm-bound", 9)
        plane.queue.clear()
        device.run_once()
        device.run_once()
    assert [told.losses for told in plane.check_ins] == [(), ("norm-bound",), ()]


def test_stop_closes_the_plan_and_ends_the_lease(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(), model(), 1))
    plane.word["progress"] = m.LeaseAnswer(word="stop", code="lease-over", window_ok_ms=7, window_else_ms=9)
    with quick_device(plane) as device:
        outcome = device.run_once()
    assert (outcome.word, outcome.code, outcome.wait_ms) == ("stop", "lease-over", 9)
    assert lease.report is None
    assert plane.requests("/upload") == 0
    assert plane.requests("/progress") == 1


def test_progress_is_told_at_once_and_then_rarely(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(steps=500), model(), 1))
    with quick_device(plane) as device:
        device.run_once()
    told = [each for each in lease.told if isinstance(each, m.Progress)]
    assert [(each.done, each.total) for each in told] == [(1, 500)]
    assert told[0].moved_bytes == len(plane.blobs[lease.offer.base])


def test_a_short_stall_is_kept_alive_by_more_progress(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(steps=30, pause_ms=2), model(), 1), stall_ms=20)
    with quick_device(plane) as device:
        device.run_once()
    done = [each.done for each in lease.told if isinstance(each, m.Progress)]
    assert len(done) >= 2
    assert done == sorted(set(done))


def test_an_interrupted_device_resumes_its_lease(plane: ScriptedPlane) -> None:
    lease = plane.offer(plane.manifest(task(steps=10), model(), 1))
    with quick_device(plane) as device:
        device.stop()
        assert device.run_once().word == "interrupted"
        assert lease.state == "HELD"
    with quick_device(plane) as again:
        assert again.run_once().word == "stored"
    assert plane.faults == []


def test_the_reason_epoch_means_a_new_session(plane: ScriptedPlane) -> None:
    def forgetful(answer: Answer) -> Answer:
        told = msgspec.json.decode(answer.body, type=m.CheckInAnswer)
        return msgspec.structs.replace(answer, body=msgspec.json.encode(msgspec.structs.replace(told, reason="epoch")))

    plane.misdeeds.append(Misdeed(match="/v1/checkin", after=forgetful))
    with quick_device(plane) as device:
        assert [device.run_once().code for _ in range(3)] == ["epoch", "no-task", "no-task"]
    assert len(plane.epochs["d0"]) == 2
