"""A synthetic fleet with stated terms: what its devices are, have and do, as columns.

Decides: each device's platform, speed, bandwidth, losses, data and nights, drawn from the seed; and its momentary
facts, functions of (device, moment) alone, so that they are the same however a simulation asks. Never: when a device
comes (the calendar), or what the plane thinks of it. All of a device is one record, because the devices of a batch are
anywhere in memory: a record costs one access, a dozen columns a dozen. Virtual time begins at midnight where a region's
phase is 0.
Limits: at most 64 bytes a device; 127 regions, 32,767 classes.
Source: `fleet_terms.py`.
"""

import math
from statistics import NormalDist
from typing import TypedDict

import msgspec
import numpy as np
from numpy.typing import NDArray

from podium.core.draws import draw
from podium.sim.fleet_terms import FleetTerms, Platform, always_share, check_terms
from podium.sim.trace_files import Capacity
from podium.sim.traces import DAY_MS, HOUR_MS, NIGHT_UNIT_MS
from podium.wire.messages import Capabilities

F32 = NDArray[np.float32]
MEGABYTE = 1_000_000
LEVELS = 4096  # quantiles of the normal distribution that a momentary factor takes
P90 = 1.2815515655446004  # of the standard normal distribution
NIGHT_UNITS = DAY_MS // NIGHT_UNIT_MS
FILLING = 0.6  # the share of its night in which a battery fills up
DROP_OUT_MAX = 0.95
RECORD = np.dtype(
    [
        ("class_of", np.int16),
        ("night_begin", np.uint16),
        ("night_length", np.uint16),
        ("region", np.int8),
        ("spare", np.int8),
        *[
            (name, np.float32)
            for name in (
                "battery_low",
                "disk_free_mb",
                "download_mb_s",
                "upload_mb_s",
                "latency_ms",
                "seconds_per_example",
                "drop_out",
                "label_coverage",
                "missing_rate",
                "freshness_h",
            )
        ],
        ("examples", np.int32),
    ]
)
"""One device: 52 bytes, each column aligned."""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What a lease asks of a device. `cost`: an example's, in units of the terms' `seconds_per_example`."""

    download_bytes: int
    upload_bytes: int
    epochs: int
    examples_max: int
    cost: float = 1.0


class Moment(TypedDict):
    """Momentary facts, one element a device: battery in [0, 1], charging and metered 0 or 1, degrees C, MB, ms."""

    battery: F32
    charging: NDArray[np.int8]
    metered: NDArray[np.int8]
    ram_free_mb: F32
    disk_free_mb: F32
    thermal_c: F32
    download_mb_s: F32
    upload_mb_s: F32
    latency_ms: F32


class DataFacts(TypedDict):
    """What a device's data is like, one element a device; the rates are within [0, 1]."""

    examples: NDArray[np.int32]
    label_coverage: F32
    missing_rate: F32
    freshness_h: F32


class SimFleet:
    """`count` devices after `terms`, the same for the same `seed`; with `capacity`, what that trace's devices are.

    Device i has capacity row i modulo their number. `OperatorFault(usage)`: terms that contradict themselves.
    """

    def __init__(self, count: int, terms: FleetTerms, seed: int, capacity: Capacity | None = None) -> None:
        check_terms(terms)
        self.count = count
        self.terms = terms
        self._seed = seed
        self._platforms = terms.platforms
        self._drawn = 0
        self._levels = _levels()
        self._records = records = np.empty(count, RECORD)
        self.class_of: NDArray[np.int16] = records["class_of"]
        self.region: NDArray[np.int8] = records["region"]
        self.night_begin: NDArray[np.uint16] = records["night_begin"]
        self.night_length: NDArray[np.uint16] = records["night_length"]
        self.seconds_per_example: F32 = records["seconds_per_example"]
        self.drop_out: F32 = records["drop_out"]
        self._draw_compute()
        records["download_mb_s"] = self._log_normal(terms.download_mb_s, terms.bandwidth_spread)
        records["upload_mb_s"] = self._log_normal(terms.upload_mb_s, terms.bandwidth_spread)
        records["latency_ms"] = self._log_normal(terms.latency_ms, terms.latency_spread)
        records["examples"] = self._log_normal(terms.examples, terms.examples_spread).clip(1, terms.examples_max)
        if capacity is not None:
            self._take_over(capacity)
        own = self._log_normal(math.exp(-(terms.drop_out_spread**2) / 2), terms.drop_out_spread)  # of mean 1
        drop_outs = np.array([each.drop_out for each in self._platforms], np.float32)
        np.minimum(drop_outs[self.class_of] * own, np.float32(DROP_OUT_MAX), out=self.drop_out)
        logit = self._normal() * np.float32(-terms.label_coverage_spread)
        logit -= np.float32(math.log(terms.label_coverage / (1 - terms.label_coverage)))
        records["label_coverage"] = 1 / (1 + np.exp(logit))
        records["missing_rate"] = self._log_normal(terms.missing_rate, terms.missing_rate_spread).clip(0, 1)
        records["freshness_h"] = self._log_normal(terms.freshness_h, terms.freshness_spread)
        records["disk_free_mb"] = self._log_normal(terms.disk_free_mb, terms.disk_free_spread)
        low, high = terms.battery_low
        records["battery_low"] = np.float32(low) + np.float32(high - low) * self._uniform()
        self._ram_mb = np.array([each.ram_mb for each in self._platforms], np.float32)
        self._draw_nights()

    def _draw_compute(self) -> None:
        """Class and speed: one latent normal number ranks both, so that their shares and spread are as stated."""
        terms = self.terms
        latent = self._normal()
        shares = np.cumsum([each.share for each in terms.platforms])[:-1].tolist()
        bounds = np.array([NormalDist().inv_cdf(share) for share in shares], np.float32)
        self.class_of[:] = np.searchsorted(bounds, latent)
        spread = math.log(terms.compute_p90_p10) / (2 * P90)
        tied = terms.compute_class_correlation
        latent *= np.float32(tied)
        latent += np.float32(math.sqrt(1 - tied * tied)) * self._normal()
        latent *= np.float32(spread)
        np.exp(latent, out=latent)
        np.multiply(latent, np.float32(terms.seconds_per_example), out=self.seconds_per_example)

    def _draws(self) -> np.random.Generator:
        """A stream for the next column; the columns of a smaller fleet begin those of a larger one."""
        self._drawn += 1
        return np.random.Generator(np.random.PCG64([self._seed, self._drawn]))

    def _normal(self) -> F32:
        return self._draws().standard_normal(self.count, np.float32)

    def _uniform(self) -> F32:
        return self._draws().random(self.count, np.float32)

    def _log_normal(self, median: float, spread: float) -> F32:
        drawn = self._normal()
        drawn *= np.float32(spread)
        np.exp(drawn, out=drawn)
        drawn *= np.float32(median)
        return drawn

    def _take_over(self, capacity: Capacity) -> None:
        """What a capacity trace says, in place of what was drawn; its classes lose what the fleet loses on average."""
        row = np.arange(self.count) % len(capacity.examples)
        mean = sum(each.share * each.drop_out for each in self.terms.platforms)
        kinds = capacity.platforms
        held = np.bincount(capacity.platform_of, minlength=len(kinds)) / len(row)
        self._platforms = tuple(
            Platform(os=os, architecture=architecture, ram_mb=ram, cores=1, share=float(share), drop_out=mean)
            for (os, architecture, ram), share in zip(kinds, held, strict=True)
        )
        self.class_of[:] = capacity.platform_of[row]
        for column in ("seconds_per_example", "download_mb_s", "upload_mb_s", "examples"):
            self._records[column] = getattr(capacity, column)[row]

    def _draw_nights(self) -> None:
        """When each device's night begins (virtual time, `NIGHT_UNIT_MS`) and how long it is; a day: always."""
        terms, unit_h = self.terms, NIGHT_UNIT_MS / HOUR_MS
        shares = np.cumsum([each.share for each in terms.regions])[:-1]
        self.region[:] = np.searchsorted(shares, self._uniform(), side="right")
        begins_h = np.array([each.phase_h for each in terms.regions], np.float32)[self.region]
        begins_h += np.float32(terms.night_begin_h[0])
        begins_h += np.float32(terms.night_begin_h[1]) * self._normal()
        self.night_begin[:] = (begins_h / np.float32(unit_h)).astype(np.int32) % NIGHT_UNITS
        shortest, longest = terms.night_h
        lasts_h = np.float32(shortest) + np.float32(longest - shortest) * self._uniform()
        self.night_length[:] = lasts_h / np.float32(unit_h)
        self.night_length[self._uniform() < np.float32(always_share(terms))] = NIGHT_UNITS

    def capabilities(self) -> tuple[Capabilities, ...]:
        """What a device of each class can do, in the order of `class_of`; a task's plan and data are the caller's."""
        return tuple(
            Capabilities(
                os=each.os,
                architecture=each.architecture,
                ram_mb=each.ram_mb,
                cores=each.cores,
                accelerator=each.accelerator,
                agent="sim",
                runtimes=each.runtimes,
            )
            for each in self._platforms
        )

    def hold(self, examples: NDArray[np.int64], label_coverage: NDArray[np.float64]) -> None:
        """Device i holds data of row i modulo their number, in place of what was drawn."""
        row = np.arange(self.count) % len(examples)
        self._records["examples"] = examples[row]
        self._records["label_coverage"] = label_coverage[row]

    def telemetry(self, devices: NDArray[np.int64], at_ms: NDArray[np.int64]) -> Moment:
        """The momentary facts of `devices` at `at_ms` (int64, one shape): keyed by device and hour, battery by the ms.

        By night a device charges and fills up; by day its battery falls to its `battery_low` at nightfall, and in some
        hours it is topped up by a quarter. A device that is always there is plugged in and full.
        """
        terms = self.terms
        own = self._records.take(devices)
        hours = at_ms // HOUR_MS
        keys = (hours << 32) + devices
        first, second = draw(self._seed, "moment", keys), draw(self._seed, "moment-network", keys)
        length, low = own["night_length"].astype(np.float32), own["battery_low"]
        since = (at_ms - hours // 24 * DAY_MS).astype(np.float32) * np.float32(1 / NIGHT_UNIT_MS) - own["night_begin"]
        since[since < 0] += NIGHT_UNITS
        night = since < length
        topped = ~night & (_share(first, 0) < terms.charging_day)
        filled = low + (1 - low) * (since / (np.float32(FILLING) * length))
        fallen = 1 - (1 - low) * (since - length) / np.maximum(NIGHT_UNITS - length, 1)
        fallen += np.float32(0.25) * topped
        battery = np.where(night, filled, fallen)
        battery[length == NIGHT_UNITS] = 1.0
        np.minimum(battery, 1, out=battery)
        charging = night | topped
        metered = np.where(night, np.float32(terms.metered_night), np.float32(terms.metered_day))
        return Moment(
            battery=battery,
            charging=charging.view(np.int8),
            metered=(_share(first, 1) < metered).view(np.int8),
            ram_free_mb=self._ram_mb[own["class_of"]] * (np.float32(0.2) + np.float32(0.5) * _share(first, 2)),
            disk_free_mb=own["disk_free_mb"],
            thermal_c=30 + 3 * self._normal_of(first, 3) + 4 * charging.astype(np.float32),
            download_mb_s=own["download_mb_s"] * self._network(second, 0),
            upload_mb_s=own["upload_mb_s"] * self._network(second, 1),
            latency_ms=own["latency_ms"] * self._network(second, 2),
        )

    def _normal_of(self, draws: NDArray[np.uint64], field: int) -> F32:
        """A standard normal number from 12 of the 16 bits of `field` (0 to 3)."""
        return self._levels.take((draws >> np.uint64(16 * field + 4) & np.uint64(LEVELS - 1)).view(np.int64))

    def _network(self, draws: NDArray[np.uint64], field: int) -> F32:
        """How far the network is from its device's median at the moment, a factor."""
        factor: F32 = np.exp(np.float32(self.terms.bandwidth_moment_spread) * self._normal_of(draws, field))
        return factor

    def data_facts(self, devices: NDArray[np.int64]) -> DataFacts:
        """What the data of `devices` (int64) is like."""
        own = self._records.take(devices)
        return DataFacts(
            examples=own["examples"],
            label_coverage=own["label_coverage"],
            missing_rate=own["missing_rate"],
            freshness_h=own["freshness_h"],
        )

    def work_ms(self, devices: NDArray[np.int64], draws: NDArray[np.float64], load: Workload) -> NDArray[np.int64]:
        """How long a lease takes each of `devices`, int64 ms >= 1: download, training, upload; `draws` in [0, 1)."""
        own = self._records.take(devices)
        took_s = load.download_bytes / MEGABYTE / own["download_mb_s"].astype(np.float64)
        took_s += load.upload_bytes / MEGABYTE / own["upload_mb_s"]
        examples = np.minimum(own["examples"], load.examples_max)
        took_s += own["seconds_per_example"] * (examples * (load.epochs * load.cost))
        took_s *= np.exp(self.terms.work_spread * self._levels.take((draws * LEVELS).astype(np.int64)))
        return np.maximum((took_s * 1000).astype(np.int64), 1)

    def transfer_ms(self, device: int, load: Workload) -> tuple[int, int]:
        """How long the bytes of a lease take `device` down and up in ms, at least 1."""
        own = self._records[device]
        down = load.download_bytes / MEGABYTE / float(own["download_mb_s"])
        up = load.upload_bytes / MEGABYTE / float(own["upload_mb_s"])
        return max(1, round(down * 1000)), max(1, round(up * 1000))

    def drops(self, devices: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each of `devices` drops out of its lease; `draws` in [0, 1), one a lease."""
        return draws < self.drop_out[devices]


def _levels() -> F32:
    return np.array([NormalDist().inv_cdf((each + 0.5) / LEVELS) for each in range(LEVELS)], np.float32)


def _share(draws: NDArray[np.uint64], field: int) -> F32:
    """A uniform number in [0, 1) from the 16 bits of `field` (0 to 3)."""
    return (draws >> np.uint64(16 * field) & np.uint64(0xFFFF)).astype(np.float32) * np.float32(2**-16)
