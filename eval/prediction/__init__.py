"""Accuracy predicted from what a model was trained on, judged on concepts, datasets and models held out."""
