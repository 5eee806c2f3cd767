"""Cross-field rules of a task, and what this release does not offer yet."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from podium.tasks.check import check_task
from podium.tasks.file import parse_task
from podium.tasks.task import (
    Aggregate,
    Data,
    Fairness,
    Head,
    ModelSource,
    Privacy,
    Ramp,
    Round,
    RunRules,
    Section,
    Select,
    Target,
    Task,
)
from podium.wire.durations import Duration
from podium.wire.problems import OperatorFault
from tests.unit.tasks.task_texts import SMALL, WHOLE

HEAD = Head(name="heart", plan="podium_examples.hospital:train", purpose="tell heart disease")
MODEL = ModelSource(init="podium_examples.hospital:init")
TASK = Task(task=HEAD, model=MODEL)
DIGEST = "sha256:" + "ab" * 32

GOOD: list[Section] = [
    replace(HEAD, kind="evaluate"),
    replace(HEAD, plan_digests=(DIGEST, DIGEST)),
    replace(HEAD, name="a" * 128),
    ModelSource(file="model.safetensors"),
    ModelSource(alias="kb@production"),
    ModelSource(version=DIGEST),
    Select(over=1.0),
    replace(HEAD, purpose="a" * 1_000, basis="b" * 1_000),
    Select(over=3),
    Select(requires="this is not CEL: another room says so"),
    Round(goal=4, minimum=4, concurrency=100),
    Round(goal=4, minimum=0, concurrency=2),
    Round(stall=Duration(1), report_deadline=Duration(1)),
    Round(mode="buffered", goal=10, concurrency=2, staleness_max=100),
    Round(mode="buffered", goal=10, minimum=3, concurrency=200, staleness_max=0),
    RunRules(seed=2**53 - 1, target=Target(metric="accuracy", at_least=0.5)),
]

BAD: list[tuple[Section, str]] = [
    (replace(HEAD, name=""), "task.name"),
    (replace(HEAD, name="a b"), "task.name"),
    (replace(HEAD, name="../heart"), "task.name"),
    (replace(HEAD, name="@last"), "task.name"),
    (replace(HEAD, name="heart\n"), "task.name"),
    (replace(HEAD, name="härt"), "task.name"),
    (replace(HEAD, name="a" * 129), "task.name"),
    (replace(HEAD, purpose="  "), "task.purpose"),
    (replace(HEAD, purpose="a" * 1_001), "task.purpose is 1,001 long"),
    (replace(HEAD, basis="a" * 1_001), "task.basis is 1,001 long"),
    (replace(HEAD, plan="podium_examples.hospital"), "task.plan"),
    (replace(HEAD, plan="podium_examples.hospital:"), "task.plan"),
    (replace(HEAD, plan="os:path.join"), "task.plan"),
    (replace(HEAD, plan="a b:train"), "task.plan"),
    (replace(HEAD, plan="a..b:train"), "task.plan"),
    (replace(HEAD, plan_digests=("sha256:AB",)), "task.plan_digests[0]"),
    (replace(HEAD, plan_digests=(DIGEST, DIGEST.upper())), "task.plan_digests[1]"),
    (ModelSource(), "[model] names no source"),
    (ModelSource(init="a:b", file="c"), "[model] names init and file"),
    (ModelSource(init="a"), "model.init"),
    (ModelSource(version="latest"), "model.version"),
    (ModelSource(alias="kb"), "model.alias"),
    (ModelSource(alias="kb@"), "model.alias"),
    (ModelSource(alias="kb@a@b"), "model.alias"),
    (Data(datasets=("a", "a")), "data.datasets"),
    (Data(datasets=("a", "b/c")), "data.datasets[1]"),
    (Data(examples_min=-1), "data.examples_min"),
    (Select(over=0.5), "select.over"),
    (Select(over=1e308), "select.over"),
    (Select(over=float("nan")), "select.over"),
    (Select(separation=Duration(-1)), "select.separation"),
    (Round(goal=0), "round.goal"),
    (Round(goal=4, minimum=5), "round.minimum"),
    (Round(goal=4, minimum=-1), "round.minimum"),
    (Round(goal=2**53), "round.goal"),
    (Round(concurrency=-1), "round.concurrency"),
    (Round(form_deadline=Duration(0)), "round.form_deadline"),
    (Round(report_deadline=Duration(0)), "round.report_deadline"),
    (Round(stall=Duration(0)), "round.stall"),
    (Round(stall=Duration(2), report_deadline=Duration(1)), "round.report_deadline"),
    (Round(mode="buffered"), "round.concurrency"),
    (Round(mode="buffered", concurrency=2, staleness_max=-1), "round.staleness_max"),
    (Round(mode="buffered", concurrency=2, staleness_max=101), "round.staleness_max"),
    (Round(staleness_max=3), "round.staleness_max"),
    (Round(mode="buffered", concurrency=2, goal=4, ramp=Ramp(base=2)), "round.ramp.base"),
    (Aggregate(value_abs_max=0.0), "aggregate.value_abs_max"),
    (Aggregate(value_abs_max=float("inf")), "aggregate.value_abs_max"),
    (Aggregate(norm_max=-1.0), "aggregate.norm_max"),
    (Aggregate(weight_max=float("nan")), "aggregate.weight_max"),
    (Aggregate(weight_max=1e300), "[aggregate]"),
    (Aggregate(steps=()), "[aggregate]"),
    (Aggregate(steps=({"rule": "average"},)), "[aggregate]"),
    (Aggregate(optimizer={"rule": "adamant"}), "[aggregate]"),
    (Aggregate(optimizer={"rule": "sgd", "lr": float("inf")}), "aggregate.optimizer.lr"),
    (RunRules(rounds=0), "run.rounds"),
    (RunRules(deadline=Duration(0)), "run.deadline"),
    (RunRules(abandoned_max=0), "run.abandoned_max"),
    (RunRules(seed=-1), "run.seed"),
    (RunRules(target=Target(metric="", at_least=0.5)), "run.target.metric"),
    (RunRules(target=Target(metric="a", at_least=float("inf"))), "run.target.at_least"),
]

NOT_YET: list[tuple[Section, str, str]] = [
    (replace(HEAD, kind="analytics"), 'task.kind = "analytics"', '"train" or "evaluate"'),
    (Aggregate(secure=True), "aggregate.secure = true", "false"),
    (Aggregate(secure="external"), 'aggregate.secure = "external"', "false"),
    (Privacy(mechanism="gaussian", epsilon=8.0, delta=1e-7), 'privacy = "gaussian"', "none"),
    (Privacy(mechanism="", epsilon=8.0, delta=1e-7), 'privacy = ""', "none"),
    (Select(sampling="poisson"), 'select.sampling = "poisson"', '"none"'),
]

PLACES: dict[type[Section], str] = {
    Head: "task",
    ModelSource: "model",
    Data: "data",
    Select: "select",
    Round: "round",
    Aggregate: "aggregate",
    Privacy: "privacy",
    RunRules: "run",
}


def with_section(section: Section) -> Task:
    return replace(TASK, **{PLACES[type(section)]: section})


def test_what_holds_passes() -> None:
    check_task(TASK)
    for section in GOOD:
        check_task(with_section(section))
    for text in (SMALL, WHOLE):
        check_task(parse_task(text, "here"))


@pytest.mark.parametrize(("section", "key"), BAD, ids=[f"{number}-{key}" for number, (_, key) in enumerate(BAD)])
def test_what_does_not_hold_names_the_key(section: Section, key: str) -> None:
    with pytest.raises(OperatorFault) as caught:
        check_task(with_section(section))
    assert caught.value.code == "task-invalid"
    assert caught.value.what.startswith(key)
    assert caught.value.why


@pytest.mark.parametrize(("name", "known"), [("prod", "production"), ("Candidate", "candidate"), ("canry", "canary")])
def test_a_task_begins_with_no_alias_that_a_slip_of_the_pen_made(name: str, known: str) -> None:
    for good in ("candidate", "canary", "production", "latest"):
        check_task(with_section(ModelSource(alias=f"kb@{good}")))
    with pytest.raises(OperatorFault) as caught:
        check_task(with_section(ModelSource(alias=f"kb@{name}")))
    assert (caught.value.code, caught.value.what) == ("alias-unknown", f'model.alias = "kb@{name}"')
    assert caught.value.why.startswith(f"the nearest known one is {known};")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        (replace(HEAD, kind="evaluate"), "round.mode"),
        (Select(strategy="oort"), "select.strategy"),
        (Select(over=2.0), "select.over"),
        (Select(strategy="stratified", stratify="device.site"), "select.strategy"),
        (Select(prefers={"battery": 1.0}), "select.prefers"),
        (Select(fairness=Fairness(without_replacement=True)), "select.fairness.without_replacement"),
    ],
    ids=lambda each: str(each) if isinstance(each, str) else "",
)
def test_what_chooses_a_cohort_does_not_go_with_buffered_rounds(section: Section, key: str) -> None:
    buffered = replace(with_section(section), round=Round(mode="buffered", goal=2, concurrency=4))
    with pytest.raises(OperatorFault) as caught:
        check_task(buffered)
    assert (caught.value.code, caught.value.what.split(" = ")[0]) == ("task-invalid", key)
    check_task(replace(buffered, task=HEAD, select=Select(separation=Duration(1), fairness=Fairness(times_max=3))))


def test_numbers_handed_to_the_plan_can_be_signed() -> None:
    for value in (float("nan"), float("-inf"), 2**53, -(2**53)):
        with pytest.raises(OperatorFault, match=r"local\.lr") as caught:
            check_task(replace(TASK, local={"lr": value}))
        assert caught.value.code == "task-invalid"
    check_task(replace(TASK, local={"lr": 1e300, "steps": 2**53 - 1, "on": True, "word": "nan"}))


@pytest.mark.parametrize(("section", "what", "offered"), NOT_YET, ids=[row[1] for row in NOT_YET])
def test_what_is_not_offered_yet_is_refused_and_never_ignored(section: Section, what: str, offered: str) -> None:
    with pytest.raises(OperatorFault) as caught:
        check_task(with_section(section))
    assert caught.value.code == "not-available"
    assert caught.value.what.startswith(what)
    assert caught.value.why == f"this release offers {offered}"
    assert caught.value.next


def test_the_examples_hold_and_are_those_in_the_package() -> None:
    root = Path(__file__).parents[3]
    for name in ("hospital", "digits"):
        text = (root / "examples" / name / "task.toml").read_text(encoding="utf-8")
        packaged = root / "src" / "podium_examples" / name / "task.toml"
        assert text == packaged.read_text(encoding="utf-8")
        task = parse_task(text, name)
        assert task.task.plan == f"podium_examples.{name}:train"
        assert task.round.minimum < task.round.goal
