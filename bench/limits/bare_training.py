"""The limit of training in simulation: plain local SGD in numpy, one device after another, and a plain sum.

Mandatory per device: copy the base, five steps of ten examples on a network with one hidden layer (forward, back,
step), add the difference times the examples to a sum. Everything is preallocated; float32; no checks, no exact sum, no
losses kept, no shuffling, no plan, no fleet.

Run as a program: `bare_training.py UNITS DEVICES` prints the seconds it took; 784 inputs and 10 classes, as MNIST.
The caller sets the threads of the linear algebra by OPENBLAS_NUM_THREADS.
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray

INPUTS, CLASSES = 784, 10
EXAMPLES, BATCH, LR = 50, 10, 0.01

Floats = NDArray[np.float32]


class Net:
    """The base, the device's copy of it, its slopes and the sum: four models in all, weights and biases apart."""

    def __init__(self, units: int) -> None:
        choices = np.random.default_rng(0)
        first: Floats = (choices.standard_normal((INPUTS, units)) * 0.05).astype(np.float32)
        last: Floats = (choices.standard_normal((units, CLASSES)) * 0.05).astype(np.float32)
        self.base = [first, np.zeros(units, np.float32), last, np.zeros(CLASSES, np.float32)]
        self.now = [np.empty_like(each) for each in self.base]
        self.slopes = [np.empty_like(each) for each in self.base]
        self.total = [np.zeros_like(each) for each in self.base]
        self._hidden: Floats = np.empty((BATCH, units), np.float32)
        self._back: Floats = np.empty((BATCH, units), np.float32)
        self._rows = np.arange(BATCH)

    def device(self, x: Floats, y: NDArray[np.int64]) -> None:
        """Train on x [50, 784], y [50] from the base, and add 50 times the difference to the total."""
        for now, base in zip(self.now, self.base, strict=True):
            np.copyto(now, base)
        for start in range(0, EXAMPLES, BATCH):
            self._step(x[start : start + BATCH], y[start : start + BATCH])
        for total, now, base in zip(self.total, self.now, self.base, strict=True):
            np.subtract(now, base, out=now)
            np.multiply(now, np.float32(EXAMPLES), out=now)
            np.add(total, now, out=total)

    def _step(self, x: Floats, y: NDArray[np.int64]) -> None:
        weight, bias, last, last_bias = self.now
        hidden, back = self._hidden, self._back
        np.matmul(x, weight, out=hidden)
        np.add(hidden, bias, out=hidden)
        np.maximum(hidden, 0, out=hidden)
        error = hidden @ last
        error += last_bias
        error -= error.max(axis=1, keepdims=True)
        np.exp(error, out=error)
        error /= error.sum(axis=1, keepdims=True)
        error[self._rows, y] -= 1
        error *= np.float32(LR / BATCH)
        np.matmul(error, last.T, out=back)
        np.multiply(back, hidden > 0, out=back)
        np.matmul(x.T, back, out=self.slopes[0])
        np.sum(back, axis=0, out=self.slopes[1])
        np.matmul(hidden.T, error, out=self.slopes[2])
        np.sum(error, axis=0, out=self.slopes[3])
        for now, slope in zip(self.now, self.slopes, strict=True):
            np.subtract(now, slope, out=now)


def main() -> None:
    """Train the devices and print the seconds."""
    units, devices = int(sys.argv[1]), int(sys.argv[2])
    choices = np.random.default_rng(1)
    x = choices.random((devices, EXAMPLES, INPUTS), np.float32)
    y = choices.integers(0, CLASSES, (devices, EXAMPLES))
    net = Net(units)
    net.device(x[0], y[0])
    started = time.perf_counter()
    for device in range(devices):
        net.device(x[device], y[device])
    sys.stdout.write(f"{time.perf_counter() - started:.6f}\n")


if __name__ == "__main__":
    main()
