"""The Merkle tree over everything that was decided, and its proofs (RFC 6962). A calculation."""
