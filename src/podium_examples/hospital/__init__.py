"""Four hospitals learn to tell heart disease without showing each other a row.

`data` is the data source, `init`, `train` and `evaluate` the plans that examples/hospital/task.toml names.
"""

from podium_examples.hospital.plan import evaluate, init, train
from podium_examples.hospital.table import data

__all__ = ["data", "evaluate", "init", "train"]
