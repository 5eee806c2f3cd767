"""A figure beside its limit."""

from typing import Literal

Row = dict[str, str | float | bool | None]


def row(
    place: tuple[str, str],
    value: float,
    unit: str,
    limit: tuple[str, float],
    target: float | None,
    better: Literal["lower", "higher"] = "lower",
) -> Row:
    """One row of `podium bench`: `place` is (bench, name), `limit` (its name, its figure in the same unit).

    The ratio is >= 1 when the limit is the better figure, and smaller is better, whichever way `better` points.
    """
    ratio = value / limit[1] if better == "lower" else limit[1] / value
    return {
        "bench": place[0],
        "name": place[1],
        "value": round(value, 3),
        "unit": unit,
        "limit": round(limit[1], 3),
        "limit_name": limit[0],
        "ratio": round(ratio, 3),
        "target": target,
        "better": better,
        "met": None if target is None else ratio <= target,
    }


def valued(place: tuple[str, str], value: float, unit: str, limit: tuple[str, float], target: float | None) -> Row:
    """As `row`, lower being better, but the target is one of the value itself, not of its ratio."""
    made = row(place, value, unit, limit, None)
    return {**made, "target": target, "met": None if target is None else value <= target}
