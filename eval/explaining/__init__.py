"""What a table of accuracies says of counts: effects within datasets, forms of the curve, what to add."""
