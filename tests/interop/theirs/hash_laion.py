"""Run by the interpreter of the tools: LAION's hash of each text (url and caption) on standard input."""

from __future__ import annotations

import json
import sys

import mmh3  # type: ignore[import-not-found, unused-ignore]

json.dump([mmh3.hash64(text.encode())[0] for text in json.load(sys.stdin)], sys.stdout)
