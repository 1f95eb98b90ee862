"""As in tests/runs: freezes the garbage collector before the first run."""

from tests.runs.conftest import frozen as frozen
