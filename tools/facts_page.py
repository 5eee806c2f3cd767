"""Generate docs/reference/facts.md from wire/facts.py: every fact that a device tells, and what becomes of a wrong one.

Decides: how it is laid out. Never: what it says of a fact. Usage: python -m tools.facts_page
"""

from podium.core.fleet.claims import ANSWER_WORK_MS, CONTRADICTION, MEASURED_BYTES_MIN
from podium.core.fleet.reliability import HALF_LIFE_HOURS
from podium.core.fleet.sets import SLOTS
from podium.wire.facts import COUNTS, MOMENTARY, QUALITIES, SWITCHES, Range
from tools.pages import Pages, table, write
from tools.reference import note

_HEAD = """# What devices tell

Every fact in a rule (`requires`, `when`), a preference or a strategy is told by a device, and a device may be broken
or lie. What is told wrongly moves no decision silently:

- **Another type** (a text for a number, a number for a switch, `null` for a table), a key twice, an unknown key, NaN or
  infinity (JSON has none): the whole message is refused, `body-malformed`; a whole number of 2^53 or more in what is
  signed is refused as `body-not-canonical`.
- **A number that cannot be**, outside its range below: the whole message is refused, `fact-absurd`, which names the
  fact and its range. The plane keeps what the device told before; the agent of this package tells no such number, but
  leaves it out and logs it.
- **A claim that contradicts history**, of a fact that the plane measures too: it counts as the nearest value that does
  not. Rules, preferences and strategies see that value alone.
- **What is not told** is unknown: a clause over it is false with reason `unknown-fact`, a preference gives nothing.

A refusal is answered to the device, counted in `podium_refusals_total`, and written to the journal: the first of a
device and code in an hour singly, the others in the count of their minute. Absent and unknown are one thing: nothing is
guessed for a fact that was not told.

"""


def page() -> str:
    """The whole page."""
    rows = [_row(name, "check-in", span) for name, span in MOMENTARY.items()]
    rows += [(f"`{name}`", "check-in", "", "true, false", what, "body-malformed") for name, what in SWITCHES.items()]
    rows += [_row(name, "session", span) for name, span in {**QUALITIES, **COUNTS}.items()]
    texts = "`os`, `architecture`, `variant`, `accelerator`, `agent`, `runtimes`, `plans`"
    limit = "`facts_bytes_max` together"
    rows.append((texts, "session", "", limit, "what it is and can run", "`body-malformed`"))
    columns = ("fact", "told with", "unit", "range", "what it says", "outside it")
    return note("wire/facts.py") + _HEAD + table(columns, rows) + _history()


def _row(name: str, when: str, span: Range) -> tuple[str, ...]:
    beyond = "`fact-absurd`; held to history" if span.measured else "`fact-absurd`"
    if name == "datasets":
        beyond += f"; more than {SLOTS} datasets: `body-malformed`"
    return (f"`{name}`", when, span.unit, f"{span.least:.16g} to {span.most:.16g}", span.what, beyond)


def _history() -> str:
    return f"""
## Held to history

The plane times what it can see of a device's line, lease by lease:

- **download**: from the request for the base version until the device tells progress that covers its bytes, with no
  step done yet. Only what the device has counts, so an early word buys nothing.
- **upload**: how long the bodies of its chunks took to arrive.
- **answer**: from the offer of a lease to its acceptance: two round trips and at most {ANSWER_WORK_MS} ms of work.

A transfer below {MEASURED_BYTES_MIN // 2**20} MiB tells nothing. Each measure moves the device's estimate a quarter of
the way; an outlier counts as at most four times off. A claim of bandwidth may be {CONTRADICTION:.0f} times more or less
than the estimate, a claim of latency {CONTRADICTION:.0f} times more or less than the answer allows; with every
{HALF_LIFE_HOURS} hours since the last measure, twice as far. A device that was never measured is believed: what another
device has says nothing of it.

Beyond that the claim counts as the nearest value within, and is visible: `claim-contradicted:FACT` in the journal's
count of the minute, `podium_claims_contradicted_total{{fact}}`, and the condition `claims-hold` of `podium device show`
and the operator API, false since the first claim that contradicted. A check-in whose claims all hold ends it. Claims of
one moment vary, which is what the factor is for; a plane that is itself the narrow place measures too little of every
device, and then bounds claims too low.

## What the plane may know of data

Facts about data are private unless the device's owner says otherwise: `podium device run --tell DATASET` tells how many
examples there are, `--tell-quality FACT` one of `label_coverage`, `missing_rate`, `freshness_h`
([for who integrates devices](../how-to/device-integrator.md)). The three are counted on the device. A claim about data
cannot be measured by the plane: it is bounded by its range alone, and what is learned of an update is how it changes
the model.
"""


def pages() -> Pages:
    """The generated page."""
    return {"docs/reference/facts.md": page()}


if __name__ == "__main__":
    write(pages())
