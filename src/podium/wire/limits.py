"""Every size, count, retry and time that Podium bounds, by name, in one place.

Decides: the largest and longest of everything. Never: what happens at the bound (the room that meets
it raises). Both sides of the wire read this file, so it may import nothing of ours.
Units are the last word of each name: `_ms`, `_bytes`, `_max` (a count).
"""

import msgspec

from podium.wire.problems import OperatorFault


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All limits of one plane; immutable, validated once by `check`.

    At most twenty of them are settings (those named in `SETTINGS`); the rest are constants of the
    release that tests may shrink.
    """

    # the wire
    body_bytes_max: int = 256 * 1024  # one JSON control message
    chunk_bytes: int = 1024 * 1024  # one upload chunk is one sealed frame
    update_bytes_max: int = 1024 * 1024 * 1024  # one sealed update
    report_metrics_max: int = 64  # metric names in one report
    traceback_bytes_max: int = 16 * 1024  # what a failing plan may tell
    name_chars_max: int = 128
    facts_bytes_max: int = 8 * 1024  # one device's capabilities
    clients_max: int = 20_000  # connections one gateway keeps
    requests_waiting_max: int = 20_000  # requests one gateway holds undecided
    body_ms: int = 30_000  # a request's whole body arrives within this
    uploads_open_max: int = 64  # chunks one gateway keeps in memory at once
    blob_cache_bytes: int = 64 * 1024 * 1024  # blobs one gateway serves from memory
    operator_body_bytes_max: int = 64 * 1024 * 1024  # a submitted task with its initial model
    marked_devices_max: int = 10_000  # devices that one request marks

    # sessions
    challenge_ms: int = 60_000
    session_ms: int = 3_600_000
    session_master_ms: int = 3_600_000
    sessions_cached_max: int = 100_000
    token_ms: int = 7 * 86_400_000
    service_ms: int = 365 * 86_400_000  # the longest that a service's credential lives

    # the loop
    batch_ms: int = 2  # a gateway's batch waits this long for company
    batch_rows_max: int = 4096
    steps_ahead_max: int = 1024  # steps the core may be ahead of the store
    commit_steps_max: int = 512  # steps that share one commit
    journal_merge_ms: int = 1_000
    witness_ms: int = 60_000  # a changed population head is put into the plane's tree this often
    facts_ms: int = 60_000  # what devices told is kept this often, for a plane that starts again
    down_ms_max: int = 7 * 86_400_000  # most downtime that open deadlines are given back

    # rounds
    form_settle_ms: int = 300  # a round that has its minimum waits this long for its goal
    reserve_ms: int = 10_000  # a reserved seat is held this long once offers go out, longer after a long wait
    offer_ms: int = 30_000  # an offer nobody answers lapses
    leases_per_device_max: int = 3  # leases one device may take in one round
    over_min: float = 1.0
    over_max: float = 2.0
    leases_live_max: int = 1_000_000
    staleness_max: int = 100  # versions; no buffered task may allow more: so many upload keys of a run may be alive
    runs_active_max: int = 64

    # pacing
    window_rendezvous_ms: int = 200  # a small population with open seats returns this soon
    window_candidates_ms: int = 20_000  # within so long enough devices of a large population come for its open seats
    window_idle_ms: int = 5_000  # nothing to do, small population
    window_floor_ms: int = 300_000  # a large population returns no sooner on the mean, whatever is wanted of it ...
    window_ceiling_ms: int = 3_600_000  # ... and no later, unless the plane would have too many check-ins
    window_max_ms: int = 4 * 3_600_000
    window_reserved_ms: int = 5_000  # a device kept for a round asks no sooner: within reserve_ms with its jitter
    window_large_jitter: float = (
        0.5  # a large population's windows differ by so much: a herd is apart after one of them
    )
    window_jitter: float = 0.2
    rendezvous_devices_max: int = 200
    checkins_per_s_max: int = 5_000  # what pacing aims at, for one plane
    checkins_easy_per_s_max: int = (
        500  # up to this a population may come sooner than the floor: it costs the plane little
    )

    # gateways
    gateways_max: int = 1  # where check-ins of one plane land; slices of rounds' seats are leased to more than one
    quota_ms: int = 1_000  # a slice is leased for so long; what is not used then comes back

    # device-side retries (device-protocol.md)
    retry_tries_max: int = 3
    retry_first_ms: int = 5_000
    transient_ms: int = 900_000
    permanent_ms: int = 4 * 3_600_000
    return_jitter: float = 0.2

    # the console
    console_sessions_max: int = 1_000  # sign-ins of one role at once; the one idle longest is signed out
    console_idle_ms: int = 3_600_000  # a session nobody uses is over
    console_session_ms: int = 12 * 3_600_000  # every session is over
    sign_in_tries_max: int = 10  # wrong credentials from one address ...
    sign_in_ms: int = 60_000  # ... within this time; the right one is taken all the same
    sign_in_bytes_max: int = 4 * 1024  # the form of whoever is not signed in
    form_bytes_max: int = 16 * 1024  # any other form
    forms_open_max: int = 64  # forms of either kind that arrive at once; one more ends the slowest

    # watching
    live_ms: int = 250  # a view that is watched is drawn at most this often
    viewers_max: int = 500  # watchers of one plane at once
    beat_ms: int = 5_000  # a watcher of what does not change hears this often that the plane is well
    quiet_ms: int = 15_000  # a watcher who hears nothing for so long asks anew: the plane is gone, or the way to it

    # webhooks
    webhooks_max: int = 16
    webhook_ms: int = 15_000  # one delivery, from the name to the answer
    webhook_tries_max: int = 10
    webhook_first_ms: int = 1_000  # until the second try; then twice as long each time ...
    webhook_backoff_ms: int = 600_000  # ... up to this
    webhook_dead_max: int = 1_000  # dead letters of one webhook; then it stands still

    # keeping
    versions_kept: int = 20  # unaliased versions of a run kept besides the parents of open rounds
    blob_grace_ms: int = 3_600_000  # a blob younger than this is never collected
    history_page_max: int = 1_000
    drain_ms: int = 10_000  # a stopping plane waits this long for what is under way

    def check(self) -> "Limits":
        """Return self, or raise `OperatorFault(limit-invalid)` naming the first limit that cannot be."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value <= 0:
                raise OperatorFault("limit-invalid", what=f"limit {name} is {value}", why="every limit is above zero")
        if not 1.0 <= self.over_min <= self.over_max:
            raise OperatorFault("limit-invalid", what="limits over_min and over_max", why="1 <= over_min <= over_max")
        return self


SETTINGS: tuple[str, ...] = (
    "update_bytes_max",
    "clients_max",
    "session_ms",
    "token_ms",
    "form_settle_ms",
    "reserve_ms",
    "offer_ms",
    "leases_per_device_max",
    "over_max",
    "window_rendezvous_ms",
    "window_idle_ms",
    "window_max_ms",
    "checkins_per_s_max",
    "versions_kept",
    "blob_grace_ms",
    "drain_ms",
    "viewers_max",
)
"""The limits an operator may set (`podium serve --set NAME=VALUE`)."""
