"""schemathesis over the OpenAPI document of a real plane: nothing undocumented is answered, whatever is asked.

It generates requests that fit the document and requests that do not (odd ids, NUL bytes, wrong types, huge numbers,
other methods and content types) and holds every answer to the document: status, content type, schema with its problem
codes. A 500 is documented nowhere, so one fails here.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from podium.plane.link import OperatorLink
from podium.server.main import PlaneServer
from podium.tasks.digest import task_bytes
from podium.wire.operator import RUN_OPEN
from tests.support.api_cases import fill, linked, one_model
from tests.support.attacks import EXPORT
from tests.support.plane_cases import Operator, task

pytestmark = pytest.mark.long

CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
)
EXAMPLES = "25"
CONFIG = """
[[operations]]
include-path = "/api/v1/devices/mark"
phases.coverage.unexpected-methods = ["PUT", "PATCH", "DELETE"]
"""
"""GET devices/mark is served: it asks for a device of that name."""


class Entry(msgspec.Struct):
    """What an entry says."""

    kind: str
    subject: str


class Line(msgspec.Struct):
    """A line of an export; only entries have a record."""

    record: Entry | None = None


class Filled(msgspec.Struct, kw_only=True):
    """A plane with something of everything, its document, and what its things are called."""

    server: PlaneServer
    operator: Operator
    link: OperatorLink
    document: bytes
    names: dict[str, list[str]]

    def campaign(self, folder: Path, document: bytes, token: str) -> str:
        """Let schemathesis ask for everything in `document`; what it found, which must be nothing."""
        path = folder / "openapi.json"
        path.write_bytes(document)
        (folder / "schemathesis.toml").write_text(CONFIG)
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(path), "--url", self.operator.url]
        command += ["--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS)]
        command += ["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1", "--no-shrink"]
        command += ["--continue-on-failure", "--request-timeout", "20", "--no-color"]
        command += ["--generation-database", "none", "--warnings", "off"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with linked(tmp_path_factory.mktemp("filled") / "data") as (server, operator, link):
        run = fill(operator, link)
        names = {
            "runs": [run, run[:6], "@last", "one-hot"],
            "devices": ["device-0", "@last", link.devices()[1].id],
            "versions": ["@last", "one-hot@candidate", link.run(run).base],
            "aliases": ["one-hot@candidate", "one-hot@latest", "one-hot@production"],
            "services": ["nightly"],
        }
        yield Filled(server=server, operator=operator, link=link, document=link.openapi(), names=names)


def test_every_answer_to_any_request_is_documented(filled: Filled, tmp_path: Path) -> None:
    told = filled.campaign(tmp_path, filled.document, credential(filled, "administrator"))
    assert "Selected: " in told and "No issues found" in told, told


def test_every_answer_about_what_is_there_is_documented(filled: Filled, tmp_path: Path) -> None:
    filled.campaign(tmp_path, narrowed(filled), credential(filled, "administrator"))
    assert filled.link.run("@last").id, "the plane is well after all that"
    assert len(filled.link.runs()) > 2, "some requests started runs"


def test_a_viewer_changes_nothing_whatever_is_asked(filled: Filled, tmp_path: Path) -> None:
    for run in filled.link.runs():
        if run.state in RUN_OPEN:
            filled.link.stop(run.id)  # so that no round goes on by itself meanwhile
    rows, seen = durable_rows(filled), entries(filled)
    filled.campaign(tmp_path, narrowed(filled), credential(filled, "viewer"))
    assert durable_rows(filled) == rows
    new = entries(filled)[len(seen) :]
    assert {kind for kind, _ in new} <= {"refused", "counted", "population-head"}
    assert {subject for kind, subject in new if kind == "refused"} == {"person:viewer"}


def credential(filled: Filled, role: str) -> str:
    return (filled.server.data / f"{role}.token").read_text().strip()


def narrowed(filled: Filled) -> bytes:
    """The document with the names of what is there, and a task that holds, so that requests reach the core."""
    document = msgspec.json.decode(filled.document)
    for path, operations in document["paths"].items():
        known = filled.names.get(path.split("/")[3], ["x"])
        parameters = [parameter for operation in operations.values() for parameter in operation["parameters"]]
        for parameter in parameters:
            if (parameter["in"], parameter["name"]) == ("path", "id"):
                parameter["schema"] = {"type": "string", "enum": known}
    schemas = document["components"]["schemas"]
    schemas["RunAsk"]["properties"]["task"] = {"enum": [msgspec.json.decode(task_bytes(task()))]}
    schemas["RunAsk"]["properties"]["model"] = {"enum": [one_model()]}
    schemas["PromoteAsk"]["properties"]["version"] = {"enum": filled.names["versions"]}
    schemas["MarkAsk"]["properties"]["devices"] = {"type": "array", "items": {"enum": filled.names["devices"]}}
    return msgspec.json.encode(document)


def durable_rows(filled: Filled) -> set[str]:
    """Every current row."""
    assert filled.server.plane is not None
    return {repr(row) for row in filled.server.plane.parts.store.load().rows}


def entries(filled: Filled) -> list[tuple[str, str]]:
    """(kind, subject) of each journal entry, in order."""
    lines = [msgspec.json.decode(line, type=Line) for line in filled.operator.ask("GET", EXPORT).data.splitlines()]
    return [(line.record.kind, line.record.subject) for line in lines if line.record is not None]
