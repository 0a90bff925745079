"""Splits in the formats of trainers and of other labs."""
