"""The console's pages as somebody who is signed in asks for them: a cookie over one kept connection."""

import time
from collections.abc import Iterator
from urllib.parse import urlencode

import urllib3

from podium.server.console import PAGES


class SignedIn:
    """A session of the console of the plane at `url`."""

    def __init__(self, url: str, credential: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=60.0)
        form = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
        body = urlencode({"credential": credential}).encode()
        answer = self._pool.request("POST", f"{url}/sign-in", body=body, headers=form, redirect=False)
        self._cookie = {"cookie": answer.headers["set-cookie"].split(";")[0]}

    def times_ms(self, count: int, **named: str) -> Iterator[tuple[str, list[float]]]:
        """(page, milliseconds to the last byte of `count` answers) of every screen; `named` fills the braces."""
        for page in PAGES:
            yield page, [self._ask(page.format(**named)) for _ in range(count)]

    def _ask(self, path: str) -> float:
        began = time.perf_counter()
        answer = self._pool.request("GET", self._url + path, headers=self._cookie, redirect=False)
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}")
        return (time.perf_counter() - began) * 1000
