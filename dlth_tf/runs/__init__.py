"""Runs: from a configuration, through the phases of its method, to a run directory."""
