"""What a strategy weighs: the score of a task's `prefers`, and the quality of a device's data.

Decides: how facts become a number from 0 to 1, by the scales of tasks/selecting.py. Never: keeps anybody out. An
unknown fact is `NEUTRAL` in a preference and left out of a quality: not telling is neither rewarded nor punished.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from podium.tasks.selecting import PREFERS, Scale, nearest_of

NEUTRAL = 0.5
FRESH_HALF_LIFE_H = 168.0
"""Data lose half of their freshness in a week."""

Column = NDArray[np.float32]


def preference_scores(prefers: Mapping[str, float], columns: Mapping[str, NDArray[np.generic]]) -> Column:
    """The mean, weighted by `prefers`, of each fact's score: float32 in 0..1, of the columns' length.

    `columns`: fact -> values (numbers, NaN: unknown), aligned; facts that are not among them are unknown for all.
    `ValueError` for a name that `PREFERS` has not, with the nearest; without any `prefers` all score 1.
    """
    count = max((len(column) for column in columns.values()), default=0)
    for name in prefers:
        if name not in PREFERS:
            raise ValueError(f"{name} cannot be preferred; the nearest fact is {nearest_of(name, PREFERS)}")
    total = sum(prefers.values())
    if total <= 0:
        return np.ones(count, np.float32)
    score: Column = np.zeros(count, np.float32)
    for name, weight in sorted(prefers.items()):
        known = fact_scores(PREFERS[name], columns[name]) if name in columns else np.float32(NEUTRAL)
        score += np.float32(weight / total) * known
    return np.clip(score, 0.0, 1.0)


def fact_scores(scale: Scale, values: NDArray[np.generic]) -> Column:
    """The score of each value on `scale`: float32 in 0..1, same shape; NaN scores `NEUTRAL`."""
    column = values.astype(np.float32)
    held = np.clip(column, np.float32(scale.low), np.float32(scale.high))
    if scale.log:
        share = np.log(held / np.float32(scale.low)) / np.float32(np.log(scale.high / scale.low))
    else:
        share = (held - np.float32(scale.low)) / np.float32(scale.high - scale.low)
    scored: Column = np.where(np.isnan(share), np.float32(NEUTRAL), 1 - share if scale.falling else share)
    return scored.astype(np.float32)


def quality_score(examples: Column, label_coverage: Column, missing_rate: Column, freshness_h: Column) -> Column:
    """The geometric mean of what is known of four parts, float32 in 0..1, aligned; NaN if nothing is known.

    ln(1 + examples) / ln(10,001), at most 1; the share of the labels that occur; 1 - the share of missing values;
    2^(-age in hours / `FRESH_HALF_LIFE_H`). Geometric, because data that lack one part wholly are worth nothing.
    """
    parts = np.stack(
        [
            np.log1p(np.maximum(examples, 0.0)) / np.log(10_001.0),
            label_coverage,
            1.0 - missing_rate,
            np.exp2(-np.maximum(freshness_h, 0.0) / FRESH_HALF_LIFE_H),
        ]
    )
    known = ~np.isnan(parts)
    # a part that is nothing has the logarithm of the least positive number instead of -inf: 0 to any digit that counts
    logs = np.where(known, np.log(np.clip(np.where(known, parts, 1.0), 1e-30, 1.0)), 0.0)
    told = known.sum(axis=0)
    score = np.where(told > 0, np.exp(logs.sum(axis=0) / np.maximum(told, 1)), np.nan)
    return score.astype(np.float32)
