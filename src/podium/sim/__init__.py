"""Virtual time: the same core driven by a synthetic fleet under faults, with checkers."""
