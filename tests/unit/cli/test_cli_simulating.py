"""podium simulate by the clock: its memory is stated and held to, and its bar moves on a terminal alone."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from podium.cli.simulations import BAR_CHARS, check_memory, free_mb, needed_mb
from podium.wire.problems import OperatorFault
from tests.e2e.cli_made import PODIUM, podium

TASK = Path(__file__).parents[3] / "examples" / "digits" / "task.toml"
PEAK = """
import sys
from pathlib import Path
from podium.cli.main import main
try:
    main()
except SystemExit:
    status = Path("/proc/self/status").read_text().split()
    print(status[status.index("VmHWM:") + 1], file=sys.stderr)
    raise
"""
"""The peak of this memory alone, in KiB: `ru_maxrss` would count what the process was before it became podium."""


def test_what_may_not_fit_is_refused_with_what_would() -> None:
    check_memory(1_000_000, needed_mb(1_000_000))
    check_memory(10_000_000, -1)  # nobody tells how much there is
    with pytest.raises(OperatorFault) as caught:
        check_memory(10_000_000, 3_900)
    assert caught.value.what == "--devices 10,000,000 needs up to 5,300 MB"
    assert caught.value.why == "3,900 MB are free on this machine; it takes 300 MB and 500 bytes a device"
    assert caught.value.next == "simulate at most 7,200,000 devices here"
    check_memory(7_200_000, 3_900)
    with pytest.raises(OperatorFault, match="free"):
        check_memory(7_202_000, 3_900)


def test_free_memory_is_the_least_of_what_is_told(tmp_path: Path) -> None:
    assert free_mb(tmp_path) == -1
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 4000000 kB\n")
    assert free_mb(tmp_path) == 4_096
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    assert free_mb(tmp_path) == 4_096
    (group / "memory.max").write_text("3000000000\n")
    (group / "memory.current").write_text("1000000000\n")
    assert free_mb(tmp_path) == 2_000
    (group / "memory.current").write_text("4000000000\n")
    assert free_mb(tmp_path) == 0


def test_more_devices_than_any_machine_holds_are_refused_at_once() -> None:
    said = podium("simulate", TASK, "--devices", "1e12", "--hours", "1")
    assert said.code == 2 and "--devices 1,000,000,000,000 needs up to 500,000,300 MB" in said.err


def on_terminal(*words: str) -> str:
    """What a command draws on a terminal."""
    master, slave = pty.openpty()
    command = [*PODIUM, *words]
    process = subprocess.Popen(command, stdin=slave, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    drawn = b""
    while True:
        try:
            drawn += os.read(master, 65_536)
        except OSError:  # the other side has closed
            break
    os.close(master)
    assert process.wait(60) == 0
    return drawn.decode()


def test_a_bar_moves_on_a_terminal_and_a_pipe_has_none() -> None:
    words = ("simulate", str(TASK), "--devices", "500", "--hours", "0.5")
    drawn = on_terminal(*words)
    assert "virtual time" in drawn and "\r\x1b[K[" in drawn and drawn.endswith("\r\x1b[K")
    assert all(len(bar.partition("]")[0]) == BAR_CHARS for bar in drawn.split("\x1b[K[")[1:])
    piped = podium(*words)
    assert piped.code == 0 and piped.err.count("\n") == 1 and "it takes up to 300 MB" in piped.err


@pytest.mark.long
def test_a_simulation_takes_no_more_than_it_says() -> None:
    for devices in (1_000, 300_000):
        words = ["simulate", str(TASK), "--devices", str(devices), "--hours", "0.5"]
        ran = subprocess.run([sys.executable, "-c", PEAK, *words], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        assert int(ran.stderr.splitlines()[-1]) * 1_024 / 1_000_000 <= needed_mb(devices)


def test_what_cannot_be_simulated_or_written_is_refused_before_the_work(tmp_path: Path) -> None:
    hours = podium("simulate", TASK, "--hours", "inf")
    assert (hours.code, "--hours inf" in hours.err) == (2, True)
    for words in (("simulate", TASK), ("task", "forecast", TASK, "--trace", "flat")):
        many = podium(*words, "--devices", "1e30")
        assert (many.code, "more than 1,000,000,000,000,000" in many.err) == (2, True)
    compared = tmp_path / "many.toml"
    compared.write_text(f"[compare]\ntask = '{TASK}'\ndevices = 1000000000000\nseeds = [1]\n[strategies.uniform]\n")
    assert "are free on this machine" in podium("simulate", compared).err
    for option in ("--json", "--report"):
        done = podium("simulate", TASK, "--hours", "0.01", option, tmp_path)
        assert (done.code, "it is a folder" in done.err, "simulating" in done.err) == (2, True, False)
