"""Task files that the tests of tasks/ begin from."""

SMALL = """
[task]
name = "heart"
plan = "podium_examples.hospital:train"
purpose = "tell heart disease"

[model]
init = "podium_examples.hospital:init"

[round]
goal = 4
"""
"""The fewest keys that make a task."""

WHOLE = """
[task]
name = "kb-nwp"
kind = "train"
plan = "keyboard.nwp:train"
plan_digests = ["sha256:0000000000000000000000000000000000000000000000000000000000000001"]
purpose = "next-word prediction"
basis = "consent"

[model]
alias = "kb@production"

[data]
datasets = ["typing"]
examples_min = 50

[select]
requires = "device.ram_mb >= 2048 && device.os in ['android', 'linux']"
when = "device.charging && !device.metered"
strategy = "uniform"
over = 1.25
separation = "24h"
sampling = "none"

[round]
mode = "sync"
concurrency = 1000
goal = 800
minimum = 500
form_deadline = "10m"
report_deadline = "5m"
stall = "60s"

[local]
epochs = 1
batch = 32
lr = 0.1
shuffle = true
optimizer = "sgd"

[aggregate]
steps = [{ rule = "mean", weighted = true }]
optimizer = { rule = "sgd", lr = 1.0 }
secure = false
value_abs_max = 8.0
norm_max = 100
weight_max = 10000

[run]
rounds = 100
target = { metric = "accuracy", at_least = 0.9 }
deadline = "12h"
abandoned_max = 5
seed = 42
"""
"""Every section that this release offers."""
