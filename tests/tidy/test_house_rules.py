"""The project keeps its own house rules; what it does not yet keep is owned up to in ratchet.json."""

from tests.tidy.rules import ratchet
from tests.tidy.rules.everything import findings


def test_the_project_keeps_the_house_rules() -> None:
    complaints = ratchet.complaints(findings(), ratchet.read())
    assert not complaints, "\n" + "\n".join(complaints)
