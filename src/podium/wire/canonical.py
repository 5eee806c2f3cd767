"""Canonical bytes: one encoding per value, so that what is signed is what is read.

RFC 8785 (JSON Canonicalization Scheme) restricted to strings, booleans, null, integers within 2^53-1, arrays and
objects. Floats are refused: a signed number travels as a decimal string in ECMAScript's Number-to-string form.
"""
