"""Sweeps: grids of runs, the backends that run them, and their status on the console."""
