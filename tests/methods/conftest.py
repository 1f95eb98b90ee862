"""Prepares the folder of the shared tiny runs, as tests/runs/conftest.py does."""

from tests.runs.conftest import place_for_the_shared_runs as place_for_the_shared_runs
