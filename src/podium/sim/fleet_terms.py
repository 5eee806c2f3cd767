"""The terms of a synthetic fleet: every figure it is drawn from, with its source.

Decides: shares, medians and spreads, and what follows from them alone. Never: a device (`fleet.py`).
Source: beside each figure; what is called assumed is nobody's measurement, and what is called a design figure is what
this simulator is asked to show, not something that was measured here.
"""

from statistics import NormalDist

import msgspec
import numpy as np

from podium.wire.problems import OperatorFault


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """A class of devices: its `share` of the fleet and its mean `drop_out` per lease; listed from fast to slow."""

    os: str
    architecture: str
    ram_mb: int
    cores: int
    share: float
    drop_out: float
    accelerator: str = ""
    runtimes: dict[str, str] = {}


class Region(msgspec.Struct, frozen=True):
    """A `share` of the fleet whose day begins `phase_h` hours after that of the first."""

    name: str
    phase_h: float
    share: float


PLATFORMS = (
    Platform(
        os="linux", architecture="amd64", ram_mb=16_384, cores=8, share=0.05, drop_out=0.03, runtimes={"numpy": "2.4"}
    ),
    Platform(
        os="ios", architecture="arm64", ram_mb=6_144, cores=6, share=0.25, drop_out=0.05, accelerator="neural-engine"
    ),
    Platform(
        os="android",
        architecture="arm64",
        ram_mb=8_192,
        cores=8,
        share=0.25,
        drop_out=0.06,
        accelerator="gpu",
        runtimes={"executorch": "1.0"},
    ),
    Platform(
        os="android",
        architecture="arm64",
        ram_mb=4_096,
        cores=8,
        share=0.30,
        drop_out=0.09,
        runtimes={"executorch": "0.7"},
    ),
    Platform(os="android", architecture="arm", ram_mb=2_048, cores=4, share=0.15, drop_out=0.16),
)
"""Assumed: shares and memory of a fleet of mostly telephones; the losses so that their weighted mean is 0.08."""

REGIONS = (Region("east", 0.0, 0.47), Region("central", 1.0, 0.29), Region("west", 3.0, 0.24))
"""Assumed: about how people are spread over the time zones of the contiguous United States (Mountain with Pacific)."""


class FleetTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a synthetic fleet is like. All spreads are standard deviations of the logarithm unless said otherwise.

    Bonawitz is Bonawitz et al. 2019, "Towards federated learning at scale", section 9.
    """

    platforms: tuple[Platform, ...] = PLATFORMS
    regions: tuple[Region, ...] = REGIONS
    swing: float = 4.0  # most over fewest devices there in a day: Bonawitz
    night_begin_h: tuple[float, float] = (22.0, 1.0)  # mean and standard deviation, local hours: assumed
    night_h: tuple[float, float] = (5.0, 10.0)  # uniform: assumed
    seconds_per_example: float = 0.02  # median: assumed; a task's own cost multiplies it
    compute_p90_p10: float = 39.0  # a design figure; log-normal
    compute_class_correlation: float = 0.8  # of log speed with the class's latent rank: assumed
    download_mb_s: float = 4.3  # median on Wi-Fi: a design figure
    upload_mb_s: float = 3.3  # median on Wi-Fi: a design figure
    bandwidth_spread: float = 0.9  # between devices: assumed
    bandwidth_moment_spread: float = 0.3  # of one device, hour by hour: assumed
    latency_ms: float = 60.0  # median: assumed
    latency_spread: float = 0.5  # assumed
    metered_day: float = 0.35  # share of hours outside a device's night: assumed
    metered_night: float = 0.05  # assumed
    charging_day: float = 0.15  # share of hours in which a device is topped up by day: assumed
    battery_low: tuple[float, float] = (0.15, 0.75)  # level at nightfall, uniform: assumed
    drop_out_spread: float = 0.4  # of a device's own loss within its class; the fleet's 8 % lies in Bonawitz's 6 to 10
    examples: float = 60.0  # median: assumed
    examples_spread: float = 1.1  # assumed
    examples_max: int = 100_000
    disk_free_mb: float = 8_000.0  # median: assumed
    disk_free_spread: float = 1.0  # assumed
    label_coverage: float = 0.6  # median share of the labels that a device has, logit-normal: assumed
    label_coverage_spread: float = 1.0  # of the logit: assumed
    missing_rate: float = 0.02  # median share of missing values: assumed
    missing_rate_spread: float = 1.0  # assumed
    freshness_h: float = 12.0  # median age of the newest example: assumed
    freshness_spread: float = 1.0  # assumed
    work_spread: float = 0.2  # of a lease's time around its device's mean: assumed


def check_terms(terms: FleetTerms) -> None:
    """`OperatorFault(usage)` unless shares sum to one and spreads and correlations are possible."""
    for what, parts in (("platforms", terms.platforms), ("regions", terms.regions)):
        if abs(sum(each.share for each in parts) - 1) > 1e-6 or min(each.share for each in parts) < 0:
            raise OperatorFault("usage", what=f"a fleet's {what}", why="their shares do not sum to 1")
    if not 0 <= terms.compute_class_correlation <= 1 or terms.compute_p90_p10 < 1:
        raise OperatorFault("usage", what="a fleet's compute", why="correlation is within [0, 1], p90/p10 at least 1")


def always_share(terms: FleetTerms) -> float:
    """The share of devices that are always there, so that a day's most over fewest is `swing`; the others by night.

    Over a grid of regions, begins and lengths of nights, minute by minute. `OperatorFault(usage)` if the regions'
    phases leave too little swing.
    """
    minutes, grid = 1440, 64
    steps = np.zeros(2 * minutes + 1)
    ranks = (np.arange(grid) + 0.5) / grid
    normal = NormalDist(terms.night_begin_h[0], terms.night_begin_h[1])
    begins_h = np.array([normal.inv_cdf(rank) for rank in ranks])
    lasts_h = terms.night_h[0] + (terms.night_h[1] - terms.night_h[0]) * ranks
    for region in terms.regions:
        begins = ((begins_h + region.phase_h) * 60).astype(np.int64)[:, None] % minutes
        weight = region.share / grid**2
        np.add.at(steps, np.broadcast_to(begins, (grid, grid)), weight)
        np.add.at(steps, begins + (lasts_h * 60).astype(np.int64)[None, :], -weight)
    there = np.cumsum(steps)[:-1].reshape(2, minutes).sum(axis=0)
    most, fewest = float(there.max()), float(there.min())
    if most < terms.swing * fewest or terms.swing < 1:
        raise OperatorFault(
            "usage", what=f"a fleet that swings {terms.swing:g}-fold", why="its regions' nights leave less"
        )
    return (most - terms.swing * fewest) / (terms.swing * (1 - fewest) - (1 - most))
