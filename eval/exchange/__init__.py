"""Results in the formats of CLIP_benchmark and DataComp, read and written."""
