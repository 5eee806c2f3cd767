"""Roles and the verbs they may use. A calculation."""
