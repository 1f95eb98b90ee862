"""See tests/runs/conftest.py."""

from tests.runs.conftest import place_for_the_shared_runs as place_for_the_shared_runs
