"""The benchmarks on the wire run, so that they cannot rot."""

from __future__ import annotations

from tests.test_benchmarks import run


def test_who_never_reads_holds_up_nobody_on_a_real_server() -> None:
    table = run("wire.stalled", "--systems", "gateway")
    assert "100 %" in " ".join(table[-1])
