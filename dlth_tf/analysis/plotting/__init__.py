"""Plots of sweeps and runs: what they share, and one file per kind of plot."""
