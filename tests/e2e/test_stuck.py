"""Stuck runs on a real plane: the API, `podium explain` and the console's page name the same binding cause, count the
devices it holds, and print the same next step which, done as it is printed, lets the run go on to its end.
"""

import re
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path

import msgspec
import pytest

from podium.core.views.explain import TROUBLES
from podium.server.main import PlaneServer
from podium.tasks.task import Select, Task
from podium.wire import messages as m
from podium.wire.asks import TokenAsk
from podium.wire.explained import Cause, Explanation
from podium.wire.operator import RunView
from podium.wire.problems import KINDS, Problem
from tests.e2e.cli_made import Dev, Said, dev, device_running, podium, task_file
from tests.e2e.kills.test_full_disk import fill, limit, small_disk
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.e2e.test_plane_trouble import Full
from tests.support.console_browser import Browser
from tests.support.plane_cases import Operator, enrolled, plane, task
from tests.support.scripted_device import PLAN, ScriptedDevice

DIGEST = "sha256:" + "0" * 64
OLD, NEW = "0.7", "1.0"


def explained(server: PlaneServer | Dev, operator: Operator, run: str, name: str = "@last") -> Explanation:
    """What the API says of a run, once the command line (in JSON, and in lines by `name`) and the page say the same."""
    told = operator.get(f"/api/v1/runs/{run}/explain", Explanation)
    in_json = podium("explain", run, "--json", "--data", server.data)
    assert in_json.code == 0, in_json.err
    by_cli = msgspec.json.decode(in_json.out, type=Explanation)
    assert (by_cli.subject, by_cli.cause) == (told.subject, told.cause)
    assert list(map(timeless, by_cli.next)) == list(map(timeless, told.next))
    assert causes(by_cli) == causes(told)
    assert reached(by_cli) == reached(told)
    in_lines = podium("explain", name, "--data", server.data)
    assert in_lines.code == 0, in_lines.err
    lines = in_lines.out.splitlines()
    assert lines[0].split()[:2] == ["run", run]
    assert lines[1] == f"cause  {told.cause}"
    steps = [line.replace(f" --data {server.data}", "") for line in lines if line.startswith("next ")]
    assert list(map(timeless, steps)) == [timeless(f"next   {step}") for step in told.next]
    assert alone_of(lines) == [each.alone for each in told.causes if each.alone]
    assert told.subject == run and told.cause == told.causes[0].code
    on_page(server, f"/runs/{run}", told)
    return told


def on_page(server: PlaneServer | Dev, path: str, told: Explanation) -> None:
    """Somebody who signs in now reads the same on that page: the sentence, each cause and its devices, each step."""
    page = Browser(server.url).sign_in((server.data / "viewer.token").read_text().strip()).page(path)
    if path.startswith("/runs/"):
        lost = re.findall(r"<li>([\d,]+) ([a-z ]+), no further: (\S+) <code>(.*?)</code>", page)
        assert [(int(n), stage, code, unescape(what)) for n, stage, code, what in lost] == [
            (loss.devices, stage.name, loss.code, loss.what) for stage in told.funnel for loss in stage.left
        ]
    why = page[page.index('id="why-title"') :].partition("</section>")[0]
    number = '<td class="num">(.*?)</td>'
    row = f'<th scope="row"><code>(.*?)</code></th><td>(.*?)</td>(?:{number}{number})?</tr>'
    shown = [
        Cause(code=code, text=unescape(text), devices=int(n or 0), alone=int(freed or 0))
        for code, text, n, freed in re.findall(row, why)
    ]
    sentence = unescape(why.partition("<strong>")[2].partition("</strong>")[0])
    alone = re.findall(r'<p class="small"><code>(.*?)</code></p>', why)  # one cause is said once, by the sentence
    freed = re.findall(r"without it (\d+) more could take part", why)
    shown = shown or [Cause(code=code, text=sentence, devices=0, alone=int((freed or [0])[0])) for code in alone]
    assert causes(msgspec.structs.replace(told, causes=shown)) == causes(told)
    assert timeless(sentence) == timeless(told.what)
    assert [timeless(unescape(step)) for step in re.findall("<li>(.*?)</li>", why)] == list(map(timeless, told.next))


def causes(told: Explanation) -> list[tuple[str, str, int, int]]:
    """The causes of `told` with their counts; of a plane in trouble that one: what is known besides is by chance."""
    told_of = told.causes[:1] if told.cause in TROUBLES else told.causes
    return [(each.code, timeless(each.text), each.devices, each.alone) for each in told_of]


def alone_of(lines: list[str]) -> list[int]:
    """How many more devices each cause that `podium explain` prints keeps alone."""
    found = (re.fullmatch(r" +without it (\d+) more could take part", line) for line in lines)
    return [int(each[1]) for each in found if each]


def reached(told: Explanation) -> list[tuple[str, int, dict[str, int]]]:
    """The funnel: each stage with its devices, and what keeps those that got no further."""
    return [(each.name, each.devices, {loss.code: loss.devices for loss in each.left}) for each in told.funnel]


def timeless(text: str) -> str:
    """`text` without its times, which pass while three are asked."""
    return re.sub(r"\d+ (d|h|min|s)( \d+ (h|min|s))?", "a time", text)


def followed(server: PlaneServer, step: str) -> Said:
    """Do a printed step that is a command, as it stands there: what follows `#` is for the reader."""
    program, *words = step.partition("    #")[0].split()
    assert program == "podium"
    said = podium(*words, "--data", server.data)
    assert said.code == 0, said.err
    return said


def served(operator: Operator, run: str, devices: list[ScriptedDevice]) -> RunView:
    """Every device checks in and trains; the run once it is over."""
    for device in devices:
        device.check_in(battery=0.9, charging=True, metered=False)
    for place, device in enumerate(devices):
        assert train(device, offer_to(device), place).word == "stored"
    view = ended(operator, run)
    assert (view.state, view.rounds_sealed) == ("FINISHED", 1)
    return view


def until(holds: Callable[[], bool], within_s: float = 40.0) -> None:
    """Ask until `holds`; a plane tries its store again after 30 s at the latest."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def ruled(goal: int, select: Select, **head: object) -> Task:
    """A task with rules, and with what else its head says."""
    made = task(goal=goal)
    return msgspec.structs.replace(made, select=select, task=msgspec.structs.replace(made.task, **head))


def test_too_few_devices(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 1)
        run = operator.submit(task(goal=3))
        devices[0].check_in()
        told = explained(server, operator, run)
        assert (told.cause, told.causes[0].devices) == ("too-few-enrolled", 2)
        assert told.what == (
            f"round {run}.1 cannot start: 1 of 3 devices that it needs are there; "
            f"2 devices missing: 1 enrolled, round {run}.1 needs 3"
        )
        assert told.waiting is not None and (told.waiting.have, told.waiting.need) == (1, 3)
        assert told.next[1].endswith("with a round.minimum of at most 1")
        token = followed(server, told.next[0]).out.strip()
        for place in range(2):
            devices.append(ScriptedDevice(operator.url, name=f"new-{place}"))
            devices[-1].enrol(token)
            devices[-1].open()
        served(operator, run, devices)
        over = explained(server, operator, run)
        assert (over.cause, over.state, len(over.causes)) == ("run-finished", "FINISHED", 1)
        assert run in followed(server, over.next[0]).out


def test_all_on_battery(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 3)
        run = operator.submit(ruled(3, Select(when="device.charging && device.battery > 0.5")))
        for device in devices:
            device.check_in(battery=0.4, charging=False)
        told = explained(server, operator, run)
        text = "3 devices with `device.charging` false now (they tell charging false (3))"
        assert told.causes == [Cause(code="when-false", devices=3, text=text)], "none of them would fit without it"
        assert told.next[0].startswith("make `device.charging` true on device-0, device-1, device-2: ")
        assert told.next[1].endswith("with a wider select.when")
        for device in devices:  # charging, but nearly empty: the next clause is what holds them now
            device.check_in(battery=0.4, charging=True)
        again = explained(server, operator, run)
        assert again.causes[0].text.startswith("3 devices with `device.battery > 0.5` false now (they tell battery 0.4")
        served(operator, run, devices)


def test_the_wrong_runtime(tmp_path: Path) -> None:
    rule = f"device.runtimes['executorch'] >= '{NEW}'"
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 3)
        for device, version in zip(devices, (OLD, OLD, NEW), strict=True):
            device.open(able(version))
        devices += enrolled(operator, 1)  # tells of no runtime
        run = operator.submit(ruled(3, Select(requires=rule)))
        for device in devices:
            device.check_in()
        told = explained(server, operator, run)
        assert told.causes == [
            Cause(
                code="requires-false",
                devices=2,
                text=f"2 devices with `{rule}` false (they have runtimes[executorch] {OLD} (2))",
                alone=2,
            ),
            Cause(
                code="requires-unknown",
                devices=1,
                text=f"1 device without a fact that `{rule}` names (they have runtimes[executorch] none (1))",
                alone=1,
            ),
        ]
        assert told.next[0].startswith(f"make `{rule}` true on device-0, device-1, then start the agent again")
        one = operator.get(f"/api/v1/devices/{devices[0].device_id}/explain", Explanation)
        on_page(server, f"/fleet/{devices[0].device_id}", one)
        assert one.causes[0].text == f"run {run} requires `{rule}`; it has runtimes[executorch] {OLD}"
        for device in devices[:2]:
            device.open(able(NEW))
        served(operator, run, devices[:3])


def able(version: str, digest: str = DIGEST) -> m.Capabilities:
    """A device with that version of the runtime and that build of the plan."""
    return m.Capabilities(os="linux", plans={PLAN: digest}, runtimes={"executorch": version})


def test_another_build_of_the_plan(tmp_path: Path) -> None:
    new = "sha256:" + "1" * 64
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(ruled(2, Select(), plan_digests=(new,)))
        told = explained(server, operator, run)
        assert (told.cause, told.causes[0].devices) == ("plan-digest", 2)
        assert told.causes[0].text.endswith(f"{new} is asked for (they have {DIGEST} (2))")
        assert told.next[0].startswith(f"install the build {new} of {PLAN} on device-0, device-1,")
        assert told.next[1].endswith(f"with task.plan_digests naming {DIGEST}")
        for device in devices:
            device.open(able(NEW, new))
        served(operator, run, devices)


def test_a_frozen_plane(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(task(goal=2))
        assert podium("freeze", "--why", "an incident", "--yes", "--data", server.data).code == 0
        assert {device.check_in().reason for device in devices} == {"frozen"}
        told = explained(server, operator, run)
        assert [(each.code, each.devices) for each in told.causes] == [("frozen", 0)]
        assert "(an incident): no lease is granted" in told.what
        by_device = podium("explain", "device-1", "--data", server.data)
        assert (by_device.code, by_device.out.splitlines()[1]) == (0, "cause  frozen")
        followed(server, told.next[0])
        served(operator, run, devices)


def test_a_store_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with plane(tmp_path / "data") as (server, operator):
        devices = enrolled(operator, 2)
        run = operator.submit(task(goal=2))
        assert server.plane is not None
        disk = Full(server)
        monkeypatch.setattr(server.plane.parts.store, "commit", disk.commit)
        assert operator.ask("POST", "/api/v1/tokens", TokenAsk()).status == 503
        told = explained(server, operator, run, run)
        one = operator.get(f"/api/v1/devices/{devices[0].device_id}/explain", Explanation)
        on_page(server, f"/fleet/{devices[0].device_id}", one)
        assert (told.cause, one.cause, one.subject) == ("store-full", "store-full", devices[0].device_id)
        assert told.next[0].startswith("free space on the disk")
        assert refused(podium("pause", run, "--data", server.data)) == "store-full"
        disk.full = False
        until(lambda: operator.ask("GET", "/readyz").status == 200)
        assert explained(server, operator, run).cause == "not-connected", (
            "the plane has not heard them since it reloaded"
        )
        for device in devices:
            device.open()
        served(operator, run, devices)


@pytest.mark.long
@pytest.mark.parametrize("means", ["disk", "limit"])
def test_a_disk_that_is_really_full(tmp_path: Path, means: str) -> None:
    with small_disk(tmp_path / "small") as mounted, dev(tmp_path / "small" / "data") as serving:
        operator = Operator(serving.url, (serving.data / "administrator.token").read_text().strip())
        file = task_file(tmp_path, rounds="1", goal="1", minimum="1")
        said = serving.podium("run", file)
        assert said.code == 0, said.err
        run = said.out.strip()
        pid = msgspec.json.decode((serving.data / "plane.json").read_bytes(), type=dict[str, str | int])["pid"]
        really = mounted and means == "disk"
        free = fill(tmp_path / "small") if really else limit(int(pid))
        # SQLite calls EFBIG an I/O error, so that under a limit the store fails rather than is full
        codes = {"store-full"} if really else {"store-full", "store-failed", "store-unknown"}
        for verb in (
            ("device", "token"),
            ("pause", run),
            ("stop", run, "--yes"),
            ("freeze", "--yes"),
            ("run", file),
            ("auth", "issue", "ci", "--verb", "runs.read"),
        ):
            assert refused(serving.podium(*verb)) in codes, verb
        told = explained(serving, operator, run, run)
        assert told.cause in codes, told
        assert told.next[0].startswith("free space on" if really else ("free space on", "look at")), told
        free()
        until(lambda: serving.podium("device", "token").code == 0)
        told = explained(serving, operator, run)
        assert (told.cause, told.causes[0].devices) == ("too-few-enrolled", 1)
        with device_running(serving, tmp_path / "device", "cleveland"):
            assert serving.podium("watch").code == 0


def refused(said: Said) -> str:
    """The code of what a verb says that the plane refused: the whole error, and exit code 1."""
    error, *lines = said.err.splitlines()
    found = re.fullmatch(r"error\[P300\d (store-[a-z]+)\]: .+", error)
    assert found is not None and said.code == 1, said
    code = found.group(1)
    assert lines[-2:] == [f"  next: {KINDS[code].next}", f"  docs: podium error {code}"]
    return code


def test_who_is_not_there_and_who_may_not_ask(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        said = podium("explain", "nobody", "--data", server.data)
        assert (said.code, said.err.splitlines()[0]) == (
            3,
            "error[P1032 not-found]: no run and no device is called nobody",
        )
        refused = operator.ask("GET", "/api/v1/devices/nobody/explain")
        assert msgspec.json.decode(refused.data, type=Problem).code == "not-found"
        assert Operator(server.url, "").ask("GET", "/api/v1/runs/@last/explain").status == 401
