"""How an extra of Podium is installed beside the Podium that runs.

Decides: the command that is advised, by where the installed distribution came from (PEP 610, direct_url.json): only
what comes from an index is asked of an index by its name; there, a stranger may have it. Never: installs.
"""

import importlib.metadata
import json
import shlex


def how_to_install(extra: str = "") -> str:
    """The shell command that brings Podium's extra `extra` ("server", "demo", ...); "" for what Podium itself needs."""
    wanted = f"[{extra}]" if extra else ""
    try:
        distribution = importlib.metadata.distribution("podium")
    except importlib.metadata.PackageNotFoundError:
        return f"in Podium's source: {_in_source(wanted)}"
    came_from = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = str(came_from.get("url", ""))
    if "dir_info" in came_from:
        from urllib.parse import unquote, urlsplit  # here: few ever need it

        return f"cd {shlex.quote(unquote(urlsplit(url).path))} && {_in_source(wanted)}"
    wheel = f" @ {url}" if url else f"=={distribution.version}"
    return f"pip install {shlex.quote(f'podium{wanted}{wheel}')}"


def _in_source(wanted: str) -> str:
    return f"pip install -c constraints.txt {shlex.quote(f'.{wanted}')}"
