"""How it is scored: zero-shot records, intervals, predictor, reports."""
