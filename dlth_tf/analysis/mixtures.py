"""Checks that the runs of a sweep belong in one table, since means over runs of different recipes say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dlth_tf.analysis.settings import WHERE_ONLY, read_config, read_data_digest
from dlth_tf.errors import BadInput
from dlth_tf.plain_numbers import shortest

_IDENTITY = ["method", "sparsity", "seed"]


def refuse_mixtures(root: Path, results: pd.DataFrame) -> None:
    """Checks that runs share examples and model, that each is there once, and that seeds of a method share a recipe.

    Args:
      root: Directory of the sweep.
      results: Table of `read_results`.

    Raises:
      BadInput: If the runs do not belong in one table, or a config.json is not a JSON object.
    """
    for column, kind in (("dataset", "data set"), ("model", "model")):
        names = results[column].unique()
        if len(names) > 1:
            problem = f"contains runs of different {kind}s ({', '.join(names)})"
            raise BadInput("sweep_dir", root, f"{problem}; a report compares methods on one {kind}")
    _refuse_duplicates(root, results)
    _refuse_other_data(root, results)
    for (method, sparsity), runs in results.groupby(["method", "sparsity"], sort=False):
        differing = _first_difference({name: read_config(root, name) for name in runs["run_dir"]})
        if differing:
            problem = f"contains runs of {method} at sparsity {shortest(sparsity)} by different recipes ({differing})"
            raise BadInput(
                "sweep_dir", root, f"{problem}; a report takes means over runs that differ in their seed alone"
            )


def _refuse_duplicates(root: Path, results: pd.DataFrame) -> None:
    duplicates = results[results.duplicated(_IDENTITY, keep=False)]
    if len(duplicates):
        first = duplicates.iloc[0]
        names = duplicates.loc[(duplicates[_IDENTITY] == first[_IDENTITY]).all(axis=1), "run_dir"]
        run = f"{first['method']} at sparsity {shortest(first['sparsity'])} with seed {first['seed']}"
        problem = f"contains {run} more than once ({', '.join(names)})"
        raise BadInput("sweep_dir", root, f"{problem}; a report counts each run once")


def _refuse_other_data(root: Path, results: pd.DataFrame) -> None:
    """Refuses runs on data sets of one name whose examples differ; those of older versions did not record them."""
    digests = {name: digest for name in results["run_dir"] if (digest := read_data_digest(root, name)) is not None}
    for name, digest in digests.items():
        first, its = next(iter(digests.items()))
        if digest != its:
            problem = f"contains runs on other examples of {results['dataset'].iloc[0]} ({first} and {name})"
            raise BadInput("sweep_dir", root, f"{problem}; a report compares methods on the same data")


def _first_difference(configs: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns the first flag that differs between runs, with two of its values; empty if none does.

    A flag that a run does not record, of an older version, is not compared.

    Args:
      configs: Flags by run directory.
    """
    for name in _names(configs.values()):
        known = {run_dir: config[name] for run_dir, config in configs.items() if name in config}
        first, value = next(iter(known.items()))
        for run_dir, other in known.items():
            if other != value:
                return f"{name} is {value} in {first} and {other} in {run_dir}"
    return ""


def _names(configs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns the flags that change the outcome of a run, apart from its seed."""
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if name not in (*WHERE_ONLY, "seed")]
