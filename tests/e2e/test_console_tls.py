"""Signing in behind a real `podium serve --tls`: the cookie is held to this origin; pages, forms and streams work."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from podium.server.console.guard import SCOPES
from tests.e2e.cli_made import start
from tests.support.certificates import make_certificate
from tests.support.console_browser import Browser
from tests.support.streams import Stream


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, urllib3.PoolManager]]:
    """The data directory, address and TLS connections of a plane that was started from the command line."""
    folder = tmp_path_factory.mktemp("tls")
    made = make_certificate(folder)
    data = folder / "data"
    serving = start(["serve", "--data", data, "--port", "0", "--tls", made.file, made.key_file])
    assert serving.stdout is not None
    try:
        url = serving.stdout.readline().strip()
        with urllib3.PoolManager(maxsize=2, ca_certs=str(made.file), retries=False, timeout=30.0) as pool:
            yield data, url, pool
    finally:
        serving.terminate()
        serving.communicate(timeout=30)


Served = tuple[Path, str, urllib3.PoolManager]


def signed_in(served: Served) -> tuple[Browser, str]:
    """A browser with a session, and the whole line of its cookie."""
    data, url, pool = served
    browser = Browser(url, pool)
    answer = browser.post("/sign-in", {"credential": (data / "viewer.token").read_text().strip()})
    assert (answer.status, answer.headers["location"]) == (303, "/")
    return browser, answer.headers["set-cookie"]


def test_the_cookie_of_a_tls_plane_is_held_to_its_origin_and_never_sent_in_the_clear(served: Served) -> None:
    browser, cookie = signed_in(served)
    name, *attributes = [part.strip().lower() for part in cookie.split(";")]
    assert name.startswith("__host-podium=")
    # RFC 6265bis, section 4.1.3.2: Secure, Path=/ and no Domain, or a browser refuses the name
    assert set(attributes) == {"secure", "httponly", "samesite=strict", "path=/"}
    assert 'href="/runs"' in browser.page("/")


def test_a_cookie_of_the_plain_name_is_nobody_s_there(served: Served) -> None:
    browser, _ = signed_in(served)
    assert browser.cookies.keys() == {SCOPES[True]}
    browser.cookies = {SCOPES[False]: browser.cookies[SCOPES[True]]}
    assert browser.get("/").headers["location"] == "/sign-in", "another plane of this host, or a script, might set it"


def test_forms_streams_and_signing_out_work_over_tls(served: Served) -> None:
    _, url, pool = served
    browser, _ = signed_in(served)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    with Stream(url, "/live/", {"cookie": cookie}, pool) as stream:
        blocks = stream.blocks()
        name, data = next(blocks)
        assert name == "fragments" and "tiles" in json.loads(data)
        gone = browser.send("/sign-out")
        assert gone.headers["location"] == "/sign-in"
        assert [name for name, _ in blocks][-1] == "over"
    said = gone.headers["set-cookie"].lower()
    assert said.startswith('__host-podium=""') and "max-age=0" in said and "secure" in said, "or it would stay"
    assert browser.get("/").status == 303
