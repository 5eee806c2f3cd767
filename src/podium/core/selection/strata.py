"""The strata of a round: the values of the fact that a task stratifies by, numbered, and their shares of the fleet.

Decides: which value is which stratum. They are counted over the devices whose facts are known when the round's first
nominee comes, and numbered in the order of their texts, so that no number depends on who came first. Never: who is
drawn from a stratum (strategies/stratified.py). Limits: of more than `STRATA_MAX` values the most frequent are strata;
a value that nobody had at that moment has none until the next round.
"""

import re
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from podium.core.fleet.columns import Fleet
from podium.core.fleet.facts import Facts
from podium.core.selection.strategies.stratified import STRATA_MAX

_LABEL = re.compile(r"device\.labels\['([^']+)'\]")


class Strata:
    """Stratum numbers of one round, by fact set; 0: none."""

    def __init__(self, fleet: Fleet, stratify: str) -> None:
        """Counts the fleet by `stratify`: a fact such as "device.os", or "device.labels['k']"."""
        self._fleet, self._fact = fleet, stratify
        label = _LABEL.fullmatch(stratify)
        self._label = label[1] if label else ""
        held = fleet.facts_id[: fleet.size]
        counts = np.bincount(held[held >= 0])
        texts: Counter[str] = Counter()
        for number in np.flatnonzero(counts).tolist():
            texts[self._text(fleet.facts.of(number))] += int(counts[number])
        texts.pop("", None)
        most = sorted(texts, key=lambda text: (-texts[text], text))[:STRATA_MAX]
        self.numbers = {text: place + 1 for place, text in enumerate(sorted(most))}
        self.shares = {number: texts[text] / texts.total() for text, number in self.numbers.items()}

    def of(self, devices: NDArray[np.int64]) -> NDArray[np.int32]:
        """The stratum of each device, whose session is open (int32, same shape)."""
        sets, places = np.unique(self._fleet.facts_id[devices], return_inverse=True)
        facts = self._fleet.facts
        numbers = [self.numbers.get(self._text(facts.of(number)), 0) for number in sets.tolist()]
        found: NDArray[np.int32] = np.array(numbers, np.int32)[places]
        return found

    def _text(self, facts: Facts) -> str:
        if not self._label:
            return str(facts.get(self._fact, ""))
        labels = facts.get("device.labels", {})
        return str(labels.get(self._label, "")) if isinstance(labels, dict) else ""
