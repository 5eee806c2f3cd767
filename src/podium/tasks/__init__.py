"""The task file: decoded, checked, digested."""
