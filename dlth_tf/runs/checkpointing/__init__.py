"""Checkpoints of a run: the state, its files, and the callback that writes them."""
