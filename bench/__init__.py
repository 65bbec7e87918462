"""Benchmarks, each beside its rivals in one run on one pinned core. `make bench NAME=features`."""
