"""Which samples: corpora, embeddings, exact search, concepts and counts."""
