"""Which release this is, as installed."""

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The installed distribution's version; "0+source" when Podium runs from its sources alone."""
    try:
        return version("podium")
    except PackageNotFoundError:
        return "0+source"


VERSION = release()
