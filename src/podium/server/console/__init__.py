"""The console: pages that the plane itself serves, over the operator API's own verbs."""

PAGES: tuple[str, ...] = (
    "/",
    "/runs",
    "/runs/{run}",
    "/runs/{run}/rounds/{round}",
    "/fleet",
    "/fleet/{device}",
    "/models?task={task}",
    "/models/{version}",
    "/journal",
    "/settings",
)
"""Every screen by its path, for whoever measures them; what is in braces is to be filled."""
