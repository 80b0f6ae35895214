"""Every measurement on the wire, for one server."""

from __future__ import annotations

from benchmarks.wire import connect, echo, fan_out, memory, rounds, stalled

if __name__ == "__main__":
    rounds.main(*(script.SCRIPT for script in (echo, fan_out, connect, memory, stalled)))
