"""Webhooks: who is told of records, as signed CloudEvents, in order, at least once."""
