"""Makes the programs importable for the tests beside them, and reads the corpus."""

import json
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(os.path.dirname(HERE), "programs")
if PROGRAMS not in sys.path:
    sys.path.insert(0, PROGRAMS)

with open(os.path.join(HERE, "corpus.jsonl"), encoding="utf-8") as _f:
    CORPUS = [(case["text"], case["masked"]) for case in map(json.loads, _f)]
