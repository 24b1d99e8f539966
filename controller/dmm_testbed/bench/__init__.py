"""How long things take: `python -m dmm_testbed.bench`, described in docs/benchmarks.md."""
