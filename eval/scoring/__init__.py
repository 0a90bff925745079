"""From embeddings to per-sample records, and from records to metrics, one kind of task a file."""
