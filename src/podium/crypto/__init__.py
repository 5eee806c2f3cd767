"""Seal, sign, MAC, envelopes. Pure: what must be random is passed in, but for what HPKE draws itself."""
