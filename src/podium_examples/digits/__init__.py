"""A hundred devices that have seen two or three digits each learn to read all ten.

`data` is the data source, `init`, `train` and `evaluate` the plans that examples/digits/task.toml names.
"""

from podium_examples.digits.plan import evaluate, init, train
from podium_examples.digits.shards import data

__all__ = ["data", "evaluate", "init", "train"]
