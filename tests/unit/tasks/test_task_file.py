"""The task file: what is read, and what each bad input is told."""

from pathlib import Path

import pytest

from podium.tasks.file import expected, judge_task, known_keys, nearest, normal, parse_task, read_task
from podium.tasks.task import Aggregate, Data, Privacy, RunRules, Select, Target
from podium.wire.durations import Duration
from podium.wire.problems import OperatorFault
from tests.unit.tasks.task_texts import SMALL, WHOLE


def test_a_small_file_is_filled_with_the_defaults() -> None:
    task = parse_task(SMALL, "small.toml")
    assert task.task.name == "heart"
    assert task.task.kind == "train"
    assert task.model.init == "podium_examples.hospital:init"
    assert task.round.goal == 4
    assert (task.data, task.select, task.aggregate, task.run) == (Data(), Select(), Aggregate(), RunRules())
    assert task.local == {}
    assert task.privacy is None


def test_every_term_of_a_whole_file_arrives_typed() -> None:
    task = parse_task(WHOLE, "whole.toml")
    assert task.task.plan_digests == ("sha256:" + "1".zfill(64),)
    assert task.data == Data(datasets=("typing",), examples_min=50)
    assert task.select.over == 1.25
    assert task.select.separation == Duration(24 * 3600 * 1000)
    assert (task.round.concurrency, task.round.goal, task.round.minimum) == (1000, 800, 500)
    assert (task.round.form_deadline, task.round.report_deadline, task.round.stall) == (600_000, 300_000, 60_000)
    assert all(isinstance(value, Duration) for value in (task.round.stall, task.run.deadline, task.select.separation))
    assert task.local == {"epochs": 1, "batch": 32, "lr": 0.1, "shuffle": True, "optimizer": "sgd"}
    assert [type(value) for value in task.local.values()] == [int, int, float, bool, str]
    assert task.aggregate.norm_max == 100.0
    assert isinstance(task.aggregate.norm_max, float)
    assert task.run.target == Target(metric="accuracy", at_least=0.9)


def test_a_minimum_left_out_is_the_goal_and_concurrency_stays() -> None:
    task = parse_task(SMALL, "small.toml")
    assert (task.round.minimum, task.round.concurrency) == (4, 0)
    assert normal(task) is task


BAD: list[tuple[str, str, str, str, str]] = [
    # what is replaced, by what, the code, a part of what is told, a part of why
    ("goal = 4", "gaol = 4", "task-unknown-key", "unknown key round.gaol", "round.goal"),
    ("goal = 4", "rounds = 4", "task-unknown-key", "unknown key round.rounds", "run.rounds"),
    ("goal = 4", "deadline = '5m'", "task-unknown-key", "unknown key round.deadline", "round.form_deadline"),
    ("[round]", "[rounds]", "task-unknown-key", "unknown key rounds", "is round"),
    ("purpose", "purpos", "task-unknown-key", "unknown key task.purpos", "task.purpose"),
    (
        "[round]",
        "[run]\ntarget = { metric = 'a', atleast = 1 }\n[round]",
        "task-unknown-key",
        "atleast",
        "run.target.at_least",
    ),
    ("[round]", "[privacy]\nepsilom = 1\n[round]", "task-unknown-key", "privacy.epsilom", "privacy.epsilon"),
    ("goal = 4", 'goal = "4"', "task-invalid", 'round.goal = "4"', "a whole number"),
    ("goal = 4", "goal = 4.5", "task-invalid", "round.goal = 4.5", "a whole number"),
    ("goal = 4", "goal = true", "task-invalid", "round.goal = true", "a whole number"),
    ("goal = 4", "goal = [4]", "task-invalid", "round.goal = [4]", "a whole number"),
    ("goal = 4", "goal = 4\nstall = 60", "task-invalid", "round.stall = 60", 'a duration such as "90s"'),
    ("goal = 4", 'goal = 4\nstall = "1 min"', "task-invalid", 'round.stall = "1 min"', "a duration"),
    ("goal = 4", 'goal = 4\nmode = "async"', "task-invalid", 'round.mode = "async"', '"sync" or "buffered"'),
    ("goal = 4", "goal = 4\n[select]\nover = 'x'", "task-invalid", 'select.over = "x"', '"auto" or a number'),
    ("goal = 4", "goal = 4\n[data]\ndatasets = 'x'", "task-invalid", 'data.datasets = "x"', "a list"),
    ("goal = 4", "goal = 4\n[data]\ndatasets = ['x', 3]", "task-invalid", "data.datasets[1] = 3", "text in quotes"),
    ("goal = 4", "goal = 4\n[local]\nlr = [1]", "task-invalid", "local.lr = [1]", "a number, text"),
    ("goal = 4", "goal = 4\n[local]\nday = 2024-01-01", "task-invalid", "local.day = 2024-01-01", "a number, text"),
    ("goal = 4", "goal = 4\n[aggregate]\nsteps = [{ rule = [] }]", "task-invalid", "aggregate.steps[0].rule", "text"),
    ("goal = 4", "goal = 4\n[aggregate]\nsteps = { rule = 1 }", "task-invalid", "aggregate.steps", "a list"),
    ("goal = 4", "goal = 4\n[aggregate]\noptimizer = 'sgd'", "task-invalid", "aggregate.optimizer", "a table"),
    ("goal = 4", "goal = 4\n[aggregate]\nsecure = 'no'", "task-invalid", "aggregate.secure", "true or false"),
    ('purpose = "tell heart disease"', "", "task-invalid", "task.purpose is missing", "text in quotes"),
    ('[model]\ninit = "podium_examples.hospital:init"', "", "task-invalid", "model is missing", "a table"),
    ("goal = 4", "goal = 4\ngoal = 5", "task-invalid", "not TOML", "line 12"),
    ("[round]", "[round", "task-invalid", "not TOML", "line 10"),
]


@pytest.mark.parametrize(
    ("old", "new", "code", "what", "why"), BAD, ids=[row[1].replace("\n", "; ")[:40] for row in BAD]
)
def test_bad_input_is_told_by_key_value_and_expectation(old: str, new: str, code: str, what: str, why: str) -> None:
    assert old in SMALL
    with pytest.raises(OperatorFault) as caught:
        parse_task(SMALL.replace(old, new, 1), "small.toml")
    assert caught.value.code == code
    assert caught.value.what.startswith("small.toml")
    assert what in caught.value.what
    assert why in caught.value.why
    if code == "task-unknown-key":
        assert (
            caught.value.next
            == f"write {caught.value.why.removeprefix('the nearest known key is ')}, or remove the key"
        )


def test_a_section_given_as_a_value_is_told_to_be_a_table() -> None:
    with pytest.raises(OperatorFault, match=r"run = 3") as caught:
        parse_task("run = 3\n" + SMALL, "small.toml")
    assert caught.value.why == "expected a table: write [run]"


def test_every_known_key_misspelt_by_one_letter_finds_itself() -> None:
    for key in known_keys():
        section, _, name = key.rpartition(".")
        for misspelt in (name[:-1] + "_", name[1:], name + "s"):
            if f"{section}.{misspelt}".lstrip(".") not in known_keys():
                assert nearest(section, misspelt) == key


def test_each_kind_of_field_has_words() -> None:
    keys = known_keys()
    assert keys[:2] == ["task", "task.name"]
    assert {"run.target.at_least", "privacy.unit", "select.prefers", "local"} <= set(keys)
    assert expected(Privacy | None) == "a table"
    assert expected(tuple[str, ...]) == "a list, each item text in quotes"
    assert expected(dict[str, float]) == "a table, each value a number"


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "task.toml"
    path.write_text(WHOLE, encoding="utf-8")
    assert read_task(path) == parse_task(WHOLE, "elsewhere")


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b"[task]\nname = '\xe9'\n")
    for path, why in (
        (tmp_path / "absent.toml", "No such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "latin.toml", "UTF-8"),
    ):
        with pytest.raises(OperatorFault) as caught:
            read_task(path)
        assert caught.value.code == "file-unreadable"
        assert str(path) in caught.value.what
        assert why in caught.value.why


def test_every_fault_of_a_file_is_told_at_once_in_its_order() -> None:
    broken = SMALL.replace('name = "heart"', "nome = 3").replace("goal = 4", 'goal = "four"')
    task, faults = judge_task(broken, "t.toml")
    assert task is None
    assert [fault.what for fault in faults] == [
        "t.toml: unknown key task.nome",
        "t.toml: task.name is missing",
        't.toml: round.goal = "four"',
    ]
    with pytest.raises(OperatorFault, match="task-unknown-key"):
        parse_task(broken, "t.toml")


def test_every_term_that_does_not_hold_is_told_once_it_can_be_read() -> None:
    wrong = SMALL.replace('name = "heart"', 'name = "he art"').replace("goal = 4", "goal = 0")
    wrong += "\n[aggregate]\nnorm_max = 0.0\nvalue_abs_max = -1.0\n[run]\nrounds = 0\n"
    task, faults = judge_task(wrong, "t.toml")
    assert task is not None
    keys = [fault.what.split(" = ")[0] for fault in faults]
    assert keys == ["task.name", "round.goal", "aggregate.value_abs_max", "aggregate.norm_max", "run.rounds"]
    assert judge_task(SMALL, "t.toml")[1] == []
    assert judge_task("[task", "t.toml")[1][0].what == "t.toml is not TOML"
