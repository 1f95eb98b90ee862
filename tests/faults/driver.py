"""`python -m dlth_tf.train` with a fault at an exact moment: the process kills itself, gets a signal, or waits.

    python -m tests.faults.driver '{"at": "os:replace", "given": "000002.npz", "when": "before", "do": "SIGKILL"}'
    --method=...

The package does not know about it: the function that `at` names is wrapped from here.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlth_tf.files


@dataclass(frozen=True)
class Fault:
    """An event that happens once.

    Attributes:
      at: The wrapped function, "module:attribute" or "module:Class.attribute".
      do: A signal to this process ("SIGKILL"), two at once ("SIGTERM SIGTERM"), "half" (writes half a file, then
        SIGKILL; only at a write_atomic), or "wait" (for a line on stdin).
      when: "before" or "after" the call.
      nth: Number of the call, from 1.
      given: Only calls count that have this as part of a path, or of the name of a callback's phase, among their
        arguments.
    """

    at: str
    do: str = "SIGKILL"
    when: str = "before"
    nth: int = 1
    given: str = ""

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def say(line: str) -> None:
    """Prints a line at once, unbuffered."""
    os.write(1, f"{line}\n".encode())


def happen(fault: Fault, arguments: tuple[Any, ...]) -> None:
    say(f"now {fault.do}")
    if fault.do == "half":
        path, data = Path(arguments[0]), arguments[1].encode() if isinstance(arguments[1], str) else arguments[1]
        path.with_name(f".{path.name}.abcdefgh{dlth_tf.files.HALF_WRITTEN}").write_bytes(data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.do == "wait":
        sys.stdin.readline()  # a signal handler runs, and then this continues, as a long training step would
    else:
        for name in fault.do.split():
            os.kill(os.getpid(), signal.Signals[name])


def names(arguments: tuple[Any, ...]) -> list[str]:
    """Paths among the arguments, and phases of callbacks; not the content of files, which may name others."""
    found = [
        str(argument) if isinstance(argument, str | Path) else str(getattr(argument, "phase", ""))
        for argument in arguments
    ]
    return [name for name in found if "\n" not in name]


def install(fault: Fault) -> None:
    """Wraps the function that `fault.at` names."""
    module, _, path = fault.at.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    original, calls = getattr(owner, name), [0]

    @functools.wraps(original)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        counts = fault.given in " ".join(names(arguments))
        calls[0] += counts
        due = counts and calls[0] == fault.nth
        if due and fault.when == "before":
            happen(fault, arguments)
        found = original(*arguments, **named)
        if due and fault.when == "after":
            happen(fault, arguments)
        return found

    setattr(owner, name, wrapped)


def count_steps() -> Callable[[], int]:
    """Counts the optimizer steps of this process."""
    from dlth_tf.runs.checkpointing.callback import CheckpointCallback

    steps, original = [0], CheckpointCallback.on_train_batch_end

    def counted(self: CheckpointCallback, batch: int, logs: Any = None) -> None:
        steps[0] += self.step() - self.before
        original(self, batch, logs)

    CheckpointCallback.on_train_batch_end = counted
    return lambda: steps[0]


def main() -> int:
    from dlth_tf.commands import run_command
    from dlth_tf.tensorflow_start import start_tensorflow
    from dlth_tf.train import main as train

    fault = Fault(**json.loads(sys.argv[1])) if sys.argv[1] != "{}" else None
    start_tensorflow()
    steps = count_steps()
    if fault:
        install(fault)
    code = run_command("dlth_tf.train", train, sys.argv[2:])
    say(f"made {steps()} steps")
    return code


if __name__ == "__main__":
    sys.exit(main())
