"""Python runs this at the start of every process of a run, workers too: it brings the fault in from outside."""

import injection

injection.install()
