"""Exports of runs and saved models, which may be somebody else's."""
