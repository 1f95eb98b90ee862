"""`python -m dlth_tf.train`: trains one network by one method."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence

from absl import flags

from dlth_tf.commands import DONE, define, define_fields, field_groups, parse, run_command, run_console_script
from dlth_tf.console import help_text, print_table, show_log
from dlth_tf.plain_numbers import shortest
from dlth_tf.runs.config import RunConfig
from dlth_tf.stopping import stop_on_signals
from dlth_tf.tensorflow_start import start_tensorflow

USAGE = """Trains one network by one method and writes its result to a run directory.

  python -m dlth_tf.train --flagfile=flags/digits/rst.flags [--any_flag=...]
  dlth-train --flagfile=dlth:digits/rst                        (the same, from any folder)"""
DRY_RUN = (
    "dry_run",
    "print the phases with their steps and examples, and a table of the layers, without training or writing anything",
    False,
)


def page() -> str:
    """Returns the --help page."""
    groups = field_groups(dataclasses.fields(RunConfig))
    groups["Output"].append(DRY_RUN)
    return help_text(USAGE, groups)


def main(argv: Sequence[str]) -> int:
    """Parses the flags, and trains or prints the plan."""
    values = flags.FlagValues()
    define_fields(values, dataclasses.fields(RunConfig))
    define(values, DRY_RUN[0], False, DRY_RUN[1], "bool")
    parse(values, argv, page)
    config = RunConfig(**{field.name: values[field.name].value for field in dataclasses.fields(RunConfig)})
    if values.dry_run:
        return show_plan(config)
    with stop_on_signals():
        return train(config)


def show_plan(config: RunConfig) -> int:
    """Prints the phases and the layers of a run."""
    import pandas as pd

    show_log()
    start_tensorflow(announce=True)
    from dlth_tf.runs.dry_run import dry_run

    phases, layers, source = dry_run(config)
    sparsity = shortest(config.sparsity)
    print(f"{config.method} on {config.dataset} with {config.model}, sparsity {sparsity}, seed {config.seed}")
    print(f"Counts of examples are from {source}\n")
    print_table(pd.DataFrame(phases))
    print()
    print_table(layers)
    return DONE


def train(config: RunConfig) -> int:
    """Trains, and prints the outcome in one line."""
    from pathlib import Path

    from dlth_tf.runs.directory import RunDirectory

    if config.verbosity:
        show_log()
    complete = RunDirectory(Path(config.run_dir)).is_complete()
    start_tensorflow(announce=config.verbosity > 0)
    from dlth_tf.runs.train_and_export import run_and_tell

    result, exported = run_and_tell(config)
    if config.verbosity == 0:
        return DONE
    if complete:
        print(f"{config.run_dir} is already complete with this configuration: nothing to do")
    measure = config.measure
    sparsity = f"{result['sparsity']['prunable']:.2%} of the prunable weights removed"
    print(
        f"{config.method}: test {measure.words} {measure.text(result['test'][f'{measure.name}_last'])}, {sparsity}, "
        f"{config.run_dir}/result.json"
    )
    if exported:
        print(exported)
    return DONE


def console_script() -> int:
    """Runs `dlth-train`."""
    return run_console_script("dlth-train", main)


if __name__ == "__main__":
    sys.exit(run_command("dlth_tf.train", main))
