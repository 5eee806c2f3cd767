"""The console: pages that the plane itself serves, over the operator API's own verbs."""

PAGES: tuple[str, ...] = ("/", "/runs", "/runs/{run}", "/runs/{run}/rounds/{round}", "/fleet", "/fleet/{device}")
"""Every screen by its path; `{run}`, `{round}`, `{device}`, `{version}` stand for one of the plane measured."""
