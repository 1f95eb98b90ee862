"""Devices of a run: its strategy, its replicas, and the settings of the process."""
