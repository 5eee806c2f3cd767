"""Places and signed heads of the journal, its export, and its verification offline."""
