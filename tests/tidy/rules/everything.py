"""All the rules over the whole project, in one list."""

from collections.abc import Callable, Iterator

from tests.tidy.rules import dead, habits, imports, remains, sizes
from tests.tidy.rules.sources import ROOT, Finding, Source, python_sources, text_files

PER_FILE: tuple[Callable[[Source], Iterator[Finding]], ...] = (
    sizes.sizes,
    imports.law,
    imports.third_party,
    imports.purity,
    habits.handlers,
    habits.any_dicts,
    habits.docstrings,
    habits.words,
    remains.silencers,
    remains.commented_code,
)

RULES = (
    "any-dict",
    "broad-except",
    "class-lines",
    "commented-code",
    "dead",
    "docstring",
    "empty-handler",
    "file-lines",
    "foreign-word",
    "function-lines",
    "import-cycle",
    "import-law",
    "light",
    "machine-path",
    "nesting",
    "parameters",
    "purity",
    "reminder",
    "silencer",
    "third-party",
    "vendored",
)


def findings() -> list[Finding]:
    """Every breach of every rule, by file and then over all files."""
    sources = python_sources()
    texts = list(text_files())
    found = [each for source in sources for rule in PER_FILE for each in rule(source)]
    found += [each for path, text in texts for each in remains.remains(path, text)]
    found += imports.cycles(sources)
    found += imports.light(sources)
    found += habits.supervised_unused(sources)
    found += dead.kept_without_need(sources)
    found += dead.dead(sources, [(ROOT / path).read_text() for path, _ in texts if path.endswith(".toml")])
    return found
