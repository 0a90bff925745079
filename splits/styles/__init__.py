"""Which rows are natural, which are renditions, and with what certainty."""
