"""The aggregation role: manifests and upload keys, verdicts, sums, versions."""
