"""Python runs this at the start of every process of a run, workers too: it brings the fault in from outside."""

from importlib import import_module

import_module("injection").install()
