"""`podium task forecast` on a plane and on a trace: the API and the command line tell the same of the same fleet."""

from pathlib import Path

import msgspec

from podium.tasks.digest import task_bytes
from podium.tasks.forecast import Forecast
from podium.tasks.task import Select
from podium.wire.asks import ForecastAsk
from tests.e2e.cli_made import podium, task_file
from tests.support.plane_cases import enrolled, plane, task, viewer


def test_a_plane_tells_who_could_serve_a_task_and_starts_nothing(tmp_path: Path) -> None:
    made = msgspec.structs.replace(task(goal=2, rounds=3), select=Select(when="device.charging", over=1.0))
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 3)
        for device, charging in zip(devices, (True, True, False), strict=True):
            device.check_in(battery=0.9, charging=charging)
        body = ForecastAsk(task=msgspec.Raw(task_bytes(made)), model_bytes=1_000, update_bytes=500)
        told = viewer(server).post("/api/v1/forecast", body, Forecast)
        assert told.expected is not None
        seen = told.expected.evidence
        assert (seen.devices, seen.fit, seen.now, seen.held) == (3, 3, 2, {"false: device.charging": 1})
        assert (told.expected.go, told.expected.binds) == (True, "rounds")
        assert told.expected.round_down_bytes == round(1_000 * seen.leases)
        assert operator.ask("GET", "/api/v1/runs").data == b'{"items":[],"next":""}'
        file = tmp_path / "task.toml"
        file.write_text(
            '[task]\nname = "t"\nplan = "tests.none:such"\npurpose = "p"\n[model]\nversion = "sha256:'
            + "0" * 64
            + '"\n[select]\nwhen = "device.charging"\n[round]\ngoal = 4\n'
        )
        said = podium("task", "forecast", str(file), "--data", server.data)
        assert said.code == 0, said.err
        assert said.out.splitlines()[-1].startswith("no-go     too-few-enrolled: a round needs 4 devices")
        in_json = podium("task", "forecast", str(file), "--json", "--data", server.data)
        refused = msgspec.json.decode(in_json.out, type=Forecast).expected
        assert refused is not None and not refused.go
        wrong = ForecastAsk(task=msgspec.Raw(b"{}"))
        assert operator.ask("POST", "/api/v1/forecast", wrong).status == 422
        assert operator.ask("POST", "/api/v1/forecast", msgspec.structs.replace(body, model_bytes=-7)).status == 422


def test_a_trace_needs_no_plane(tmp_path: Path) -> None:
    file = task_file(tmp_path, goal="4")
    said = podium("task", "forecast", str(file), "--trace", "diurnal", "--devices", "1e6", "--json")
    assert said.code == 0, said.err
    told = msgspec.json.decode(said.out, type=Forecast).expected
    assert told is not None and (told.evidence.source, told.evidence.devices) == ("trace", 1_000_000)
    assert max(told.evidence.hours) > 3 * min(told.evidence.hours)
    again = podium("task", "forecast", str(file), "--trace", "diurnal", "--devices", "1e6", "--json")
    assert again.out == said.out, "the same seed tells the same"
    assert podium("task", "forecast", str(file), "--trace", "weekly").code == 2
    assert podium("task", "forecast", str(file), "--trace", "flat", "--devices", "-3").code == 2
