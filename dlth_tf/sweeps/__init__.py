"""Sweeps: a grid of runs, the backends that run them, and what they say meanwhile."""
