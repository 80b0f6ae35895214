"""Every hot path, one after the other. Takes the options of each, but for --sizes."""

from __future__ import annotations

import sys

from benchmarks.in_process import counts, delivery, memory, opening, ping, rounds, submit

SCRIPTS = [ping, submit, delivery, opening, memory, counts]

if __name__ == "__main__":
    for script in SCRIPTS:
        # The counts are of asyncio's own tasks and callbacks.
        if script is not counts or "trio" not in sys.argv:
            rounds.main(script.PATH, sys.argv[1:])
