"""A run's history: the value of each sealed round once, however often it is looked at, thinned when it is long."""

from podium.core.views.runs import HISTORY_POINTS_MAX, run_view, thinned
from tests.support.core_drive import Drive
from tests.support.core_made import task


def test_each_sealed_round_is_told_once_whenever_it_is_looked_at() -> None:
    drive = Drive()
    drive.begin(task(goal=1, rounds=4), devices=1)

    def history() -> dict[str, list[float]]:
        return run_view(drive.state, drive.run(), drive.now_ms).history

    assert history() == {}

    def measured() -> int:
        return run_view(drive.state, drive.run(), drive.now_ms).measured_number

    assert measured() == -1
    first: dict[str, list[float]] = {}
    seen: list[float] = []
    for number, right in enumerate((1.0, 2.0, 3.0), start=1):
        drive.check_in(0)
        drive.wait(1_000)
        drive.trained(0, metrics={"accuracy": (right, 4.0)})
        assert history().get("accuracy", []) == seen, "an open round is not told"
        drive.work()
        seen = [*seen, right / 4]
        assert history() == history() == {"accuracy": seen}
        assert measured() == number - 1, "a round measures its base"
        first = first or history()
        assert drive.round(number).state == "SEALED"
    assert first == {"accuracy": [0.25]}, "what was told stays as it was"
    drive.reload()
    assert history() == {"accuracy": seen}


def test_a_long_history_is_thinned_and_keeps_its_ends() -> None:
    values = [float(place) for place in range(3 * HISTORY_POINTS_MAX)]
    shown = thinned(values)
    assert (len(shown), shown[0], shown[-1]) == (HISTORY_POINTS_MAX, values[0], values[-1])
    assert shown == sorted(set(shown))
