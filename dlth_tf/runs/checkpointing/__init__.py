"""Checkpoints of a run: on disk, of a network and its training, during a phase, and when they are due."""
