"""Where captions mention the concepts of a vocabulary: compiled, or with Arrow alone."""
