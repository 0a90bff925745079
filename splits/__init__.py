"""Which samples belong together: style-strict, unseen-pair and control splits."""
