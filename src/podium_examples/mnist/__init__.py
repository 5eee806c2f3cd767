"""Five hundred devices with eight MNIST images each, of one or two digits, learn to read all ten.

`data` is the data source, `init` (softmax regression), `init_hidden` (one hidden layer), `train` and `evaluate` the
plans that examples/mnist/task.toml names.
"""

from podium_examples.mnist.plan import evaluate, init, init_hidden, train
from podium_examples.mnist.shards import data

__all__ = ["data", "evaluate", "init", "init_hidden", "train"]
