"""Generate docs/reference/facts.md: every fact that a device tells, how rules name it, what becomes of a wrong one.

Decides: how it is laid out. Never: what it says of a fact. Usage: python -m tools.facts_page
"""

from cel_expr_python import cel

from podium.core.fleet.claims import ANSWER_WORK_MS, CONTRADICTION, MEASURED_BYTES_MIN
from podium.core.fleet.reliability import HALF_LIFE_HOURS
from podium.core.fleet.sets import SLOTS
from podium.core.selection.declared import DATA, STANDING
from podium.core.selection.declared import MOMENTARY as DECLARED_MOMENTARY
from podium.core.selection.rules import CLAUSES_MAX, compile_rules
from podium.tasks.task import Head, ModelSource, Select, Task
from podium.wire.facts import COUNTS, MOMENTARY, QUALITIES, SWITCHES, Range
from tools.pages import Pages, table, write
from tools.reference import note

TYPES = {"INT": "whole number", "DOUBLE": "number with decimals", "BOOL": "true, false", "STRING": "text"}
EXAMPLES = (
    ("requires", "device.ram_mb >= 2048 && device.os in ['android', 'ios']", "memory and system"),
    ("requires", "device.architecture == 'arm64' && device.accelerator != ''", "hardware"),
    ("requires", "device.labels['locale'].startsWith('de')", "a label of the enrolment token"),
    (
        "requires",
        "'executorch' in device.runtimes && device.runtimes['executorch'] >= '1.0'",
        "a runtime",
    ),
    ("requires", "device.datasets['keyboard'] >= 100 && device.freshness_h < 168.0", "its data, where it tells of it"),
    ("when", "device.battery >= 0.3 && device.charging && !device.metered", "now: power and network"),
    ("when", "device.thermal_c < 40.0 || device.charging", "heat, if it is on battery; true if one side is"),
)

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
    return note("wire/facts.py") + _HEAD + table(columns, rows) + _in_rules() + _history()


def _in_rules() -> str:
    compile_examples()
    kinds = [("both", STANDING | DATA), ("`when` only", DECLARED_MOMENTARY)]
    facts = [(f"`{name}`", _type(kind), where) for where, held in kinds for name, kind in sorted(held.items())]
    examples = [(key, f"`{rule}`", what) for key, rule, what in EXAMPLES]
    return f"""
## In a rule

`select.requires` and `select.when` are written in the [Common Expression Language](https://cel.dev). `requires` is
judged once a session, by what lasts; `when` at each check-in. A rule is at most {CLAUSES_MAX} clauses joined by `&&`;
each clause is counted by itself, and `podium explain` names the one that binds.

{table(("key", "rule", "what it asks"), examples)}
Types are not mixed: `device.ram_mb >= 2048` and `device.battery >= 0.3`, never `device.ram_mb >= 2048.0`. There are
`==`, `!=`, `<`, `<=`, `>`, `>=`, `&&`, `||`, `!`, `? :`, `in`, `+ - * / %`, `int()`, `double()`; on texts, which many
devices share, all of the language's functions as well. Texts compare letter by letter, so `'0.10' < '0.9'`. A fact that
a device does not tell makes its clause false with reason `unknown`, unless the other side of a `||` is true. `has()`
asks for a key, as in `has(device.labels.locale)`. `podium task validate` says what is wrong, and what to write instead.

{table(("fact", "type", "in"), facts)}
`device.region` is the label `region`, `device.site` the site of the enrolment token; `os` and `architecture` are Go's
words (`android`, `ios`, `linux`, `darwin`, `windows`; `arm64`, `amd64`, `arm`, `386`).
"""


def compile_examples() -> None:
    """Compile every example; `OperatorFault` names the one that a rule's compiler refuses."""
    terms = Head(name="facts", plan="examples:train", purpose="examples")
    for key, rule, _ in EXAMPLES:
        select = Select(requires=rule) if key == "requires" else Select(when=rule)
        compile_rules(Task(task=terms, model=ModelSource(init="examples:init"), select=select))


def _type(kind: cel.Type) -> str:
    """The type as people call it; maps are by text."""
    told = str(kind)
    return f"{TYPES[told[12:-1]]} by name" if told.startswith("MAP<STRING, ") else TYPES[told]


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
