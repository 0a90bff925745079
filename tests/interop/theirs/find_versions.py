"""Run by the interpreter of the tools: the versions of those it has, of the names on standard input."""

from __future__ import annotations

import json
import sys
from importlib import metadata

found = {one.name.replace("_", "-"): one.version for one in metadata.distributions()}
json.dump({name: found.get(name) for name in json.load(sys.stdin)}, sys.stdout)
