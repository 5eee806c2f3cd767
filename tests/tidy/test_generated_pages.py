"""The generated pages of docs/ are what their generators make now; `make docs` mends a failure."""

from podium.cli.errors import EXIT_CODES
from podium.core.views.causes import CAUSES
from podium.sim.compare import read_comparison
from podium.wire.limits import Limits
from podium.wire.problems import KINDS
from tools import api_page, cli_page, dashboard, metrics_page, pages, reference, states, strategies_page, task_page


def test_no_generated_page_is_stale() -> None:
    made = states.pages() | reference.pages() | task_page.pages() | cli_page.pages() | metrics_page.pages()
    made |= api_page.pages() | dashboard.pages() | strategies_page.pages()
    assert pages.stale(made) == [], "run `make docs`"


def test_the_stored_comparison_is_of_the_file_as_it_stands() -> None:
    told, asked = strategies_page.result(), read_comparison(strategies_page.FILE)
    assert (told.terms, told.strategies) == (asked.terms, asked.strategies), "run the comparison again"
    assert [(row.strategy, row.seed) for row in told.rows] == asked.runs()
    assert strategies_page.page(told).count("<!--") == 1, "a placeholder is left"


def test_a_changed_page_is_stale() -> None:
    assert pages.stale({"docs/states/lease.md": "another text", "docs/states/none.md": ""}) == [
        "docs/states/lease.md",
        "docs/states/none.md",
    ]


def test_every_transition_is_drawn_and_every_end_is_one() -> None:
    rows = {("OPEN", "closed"): "SHUT", ("OPEN", "broken"): "LOST"}
    machine = states.Machine("door", ("OPEN", "SHUT", "LOST"), ("closed", "broken"), rows)
    assert states.diagram(machine) == (
        "```mermaid\nstateDiagram-v2\n    [*] --> OPEN\n    OPEN --> SHUT: closed\n    OPEN --> LOST: broken\n"
        "    SHUT --> [*]\n    LOST --> [*]\n```\n"
    )
    assert "| `OPEN` | SHUT | LOST |" in states.page(machine)


def test_the_reference_names_every_code_every_limit_and_every_cause() -> None:
    errors, limits, causes = reference.pages().values()
    assert [code for code in CAUSES if f"\n## {code}\n" not in causes] == []
    assert "**Of a run.** N missing: ENROLLED enrolled, round ROUND needs NEED\n" in causes
    assert [code for code in KINDS if f"[`{code}`](#{code})" not in errors] == []
    assert [code for code in KINDS if f"\n### {code}\n\nP{KINDS[code].number}, HTTP " not in errors] == []
    assert [name for name in Limits.__struct_fields__ if f"`{name}`" not in limits] == []
    assert "| `session_ms` | 1 h | *setting* |" in limits


def test_the_operator_api_is_told_whole() -> None:
    rows = api_page.table_of_routes()
    page = api_page.page(rows)
    assert len(rows) > 30
    for row in rows:
        assert f"\n### {row.method} {row.path}\n" in page
        assert [each.name for each in row.query if f"| `{each.name}` | {each.kind} | " not in page] == []


def test_cells_escape_pipes() -> None:
    assert pages.table(("a",), [("x|y",)]) == "| a |\n| --- |\n| x\\|y |\n"


def test_the_command_line_is_told_whole() -> None:
    page = cli_page.page()
    verbs = dict(cli_page.verbs())
    assert {"podium status", "podium task validate", "podium device list"} <= verbs.keys()
    for words, command in verbs.items():
        assert f"\n### {words}\n" in page
        assert command.help, f"{words} says nothing of itself"
        for each in command.params:
            assert each.help or each.opts[0] in cli_page.COMMON, f"{words} {each.opts[0]} says nothing of itself"
    assert [code for code in EXIT_CODES if f"\n| {code} | " not in page] == []
