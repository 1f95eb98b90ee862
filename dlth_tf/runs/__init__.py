"""The runner: any list of phases, in order, into a run directory."""
