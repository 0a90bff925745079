"""Which concepts a corpus never shows together, and which samples show them."""
