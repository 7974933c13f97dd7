"""Benchmarks: `make bench`. Figures of one run, as ratios to the raw token and to pyHanko in the same run.

The harness is that of the tests (`tests/support`): like them, this is a tool of the developers.
"""
