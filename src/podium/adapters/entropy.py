"""The Entropy port over the operating system's generator.

Decides: nothing. Never used for fairness, jitter or simulation (those are keyed draws), so it takes no seed.
"""

import os


class SystemEntropy:
    """Secret random bytes for keys, nonces and tokens."""

    def token(self, count: int) -> bytes:
        """`count` (>= 1) bytes of the operating system's generator."""
        if count < 1:
            raise ValueError(f"{count} secret bytes were asked for")
        return os.urandom(count)
