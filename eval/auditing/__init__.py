"""Is a test set really out-of-distribution for a corpus: how near, how alike, which styles, concepts and pairs."""
