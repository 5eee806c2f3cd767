"""The verbs. stdout is data, stderr is progress."""
