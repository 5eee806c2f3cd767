"""Every term of [select] and [round] can be written in Python, and then it is the same task as the file's."""

import msgspec
import pytest

import podium
from podium.tasks import task as whole
from podium.tasks.check import task_faults
from podium.tasks.digest import task_digest
from podium.tasks.file import parse_task

IN_A_FILE = """
[task]
name = "words"
plan = "podium_examples.digits:train"
purpose = "a test"
[model]
init = "podium_examples.digits:init"
[data]
datasets = ["digits"]
examples_min = 8
[select]
requires = "device.label_coverage >= 0.25"
when = "device.charging"
prefers = { battery = 1.0, upload_mb_s = 0.5 }
strategy = "oort"
over = 1.2
separation = "6h"
options = { alpha = 2.0, explore = 0.75 }
weight = 3.0
priority = -2
regions = ["eu", "us"]
[select.fairness]
times_max = 4
without_replacement = true
[select.budgets]
trainings_per_day = 2
bytes_per_month = 1000000000
energy_wh_per_day = 1.0
[round]
concurrency = 60
goal = 50
minimum = 40
form_deadline = "12h"
report_deadline = "1h"
stall = "2m"
ramp = { base = 5, factor = 2.0, after = 3 }
abort = [{ kind = "failed", share = 0.5, min = 20 }, { kind = "refused", share = 1.0, min = 4 }]
"""


def in_python(**changed: object) -> podium.Task:
    task = podium.Task(
        "words",
        model=podium.Model(init="podium_examples.digits:init"),
        plan="podium_examples.digits:train",
        purpose="a test",
        datasets=("digits",),
        examples_min=8,
        select=podium.Select(
            requires="device.label_coverage >= 0.25",
            when="device.charging",
            cohort=60,
            over=1.2,
            separation="6h",
            prefers={"battery": 1, "upload_mb_s": 0.5},  # a whole number is the same term as its float
            strategy="oort",
            options={"alpha": 2, "explore": 0.75},
            fairness=podium.Fairness(times_max=4, without_replacement=True),
            budgets=podium.Budgets(trainings_per_day=2, bytes_per_month=10**9, energy_wh_per_day=1),
            weight=3,
            priority=-2,
            regions=("eu", "us"),
        ),
        round=podium.Round(
            goal=50,
            minimum=40,
            deadline="1h",
            form_deadline="12h",
            stall="2m",
            ramp=podium.Ramp(base=5, factor=2, after=3),
            abort=(podium.Abort(kind="failed", share=0.5, min=20), podium.Abort(kind="refused", share=1, min=4)),
        ),
    )
    return msgspec.structs.replace(task, **changed)


def test_every_term_in_python_and_in_a_file_has_the_same_digest() -> None:
    filed = parse_task(IN_A_FILE, "a file")
    assert in_python().whole() == filed
    assert task_digest(in_python().whole()) == task_digest(filed)
    assert [str(fault) for fault in task_faults(filed)] == []


def test_strata_are_named_in_python_too() -> None:
    select = podium.Select(strategy="stratified", stratify="device.labels['locale']")
    filed = IN_A_FILE.partition("[select]")[0] + '[select]\nstrategy = "stratified"\n'
    filed += "stratify = \"device.labels['locale']\"\n"
    python = in_python(select=select, round=podium.Round()).whole()
    # the minimum that is not named is the goal, in a file as in Python
    assert task_digest(python) == task_digest(parse_task(filed + "[round]\nminimum = 1\n", "a file"))


def test_buffered_rounds_are_named_in_python_too() -> None:
    python = in_python(select=podium.Select(cohort=60), round=podium.Round(goal=5, mode="buffered", staleness_max=4))
    filed = IN_A_FILE.partition("[select]")[0] + '[round]\nmode = "buffered"\ngoal = 5\nminimum = 5\nconcurrency = 60\n'
    assert task_digest(python.whole()) == task_digest(parse_task(filed + "staleness_max = 4\n", "a file"))


def test_what_was_written_before_has_the_digest_it_had() -> None:
    plain = in_python(select=podium.Select(), round=podium.Round(goal=2), examples_min=0).whole()
    filed = IN_A_FILE.partition("[data]")[0] + '[data]\ndatasets = ["digits"]\n[round]\ngoal = 2\nminimum = 2\n'
    assert task_digest(plain) == task_digest(parse_task(filed, "a file"))


@pytest.mark.parametrize(
    ("python", "section", "elsewhere"),
    [
        (podium.Select, whole.Select, {"sampling"}),  # not offered yet
        (podium.Round, whole.Round, {"concurrency", "report_deadline"}),  # select.cohort, round.deadline
        (podium.Fairness, whole.Fairness, set()),
        (podium.Budgets, whole.Budgets, set()),
        (podium.Ramp, whole.Ramp, set()),
        (podium.Abort, whole.Abort, set()),
    ],
)
def test_no_key_of_a_section_is_missing(
    python: type[msgspec.Struct], section: type[msgspec.Struct], elsewhere: set[str]
) -> None:
    assert set(section.__struct_fields__) - set(python.__struct_fields__) == elsewhere


def test_a_wrong_term_is_named_as_in_a_file() -> None:
    wrong = in_python(select=podium.Select(prefers={"batery": 1.0}, weight=-1.0)).whole()
    said = [fault.what for fault in task_faults(wrong)]
    assert any("select.prefers.batery" in each for each in said), said
    assert any("select.weight" in each for each in said), said
