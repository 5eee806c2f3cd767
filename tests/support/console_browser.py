"""A browser as far as the console's door knows one: it keeps cookies and says where a form comes from."""

import re
from html import unescape
from urllib.parse import urlencode

import urllib3


class Browser:
    """One person's browser, without scripts; `site` is what it says of where its forms come from."""

    def __init__(self, url: str, pool: urllib3.PoolManager | None = None) -> None:
        self.url = url
        self.cookies: dict[str, str] = {}
        self._pool = pool or urllib3.PoolManager(retries=False, timeout=20.0)

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """A page, without following redirects."""
        return self._ask("GET", path, None, {"accept": "text/html"})

    def post(
        self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """A form, sent by a page of this origin unless `headers` say otherwise."""
        told = {"sec-fetch-site": "same-origin"} if headers is None else headers
        form = {"content-type": "application/x-www-form-urlencoded"}
        return self._ask("POST", path, urlencode(fields).encode(), {**form, **told})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        told = {**headers, **({"cookie": kept} if kept else {})}
        response = self._pool.request(method, self.url + path, body=body, headers=told, redirect=False)
        for line in response.headers.getlist("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
        return response

    def sign_in(self, token: str) -> "Browser":
        """Sign in; itself."""
        response = self.post("/sign-in", {"credential": token})
        assert response.status == 303, response.data
        return self

    def page(self, path: str) -> str:
        """The HTML of a page that is there."""
        response = self.get(path)
        assert response.status == 200, (path, response.status, response.data[:2000])
        return response.data.decode()

    def csrf(self) -> str:
        """The token of this session, as a page's form carries it."""
        found = re.search(r'name="csrf" value="([^"]+)"', self.page("/"))
        assert found is not None
        return unescape(found.group(1))

    def send(self, path: str, **fields: str) -> urllib3.BaseHTTPResponse:
        """A form with this session's token."""
        return self.post(path, {"csrf": self.csrf(), **fields})
