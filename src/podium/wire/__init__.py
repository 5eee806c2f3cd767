"""The wire: messages as structs, canonical bytes, problem codes, limits. Imports nothing of ours."""
