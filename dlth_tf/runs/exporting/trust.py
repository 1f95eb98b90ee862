"""Names of code and files in a run: a run that somebody else made must not choose what is imported or opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlth_tf.data.names import FILES
from dlth_tf.errors import BadInput
from dlth_tf.registry import is_path
from dlth_tf.runs.config import RunConfig


@dataclass(frozen=True)
class Trust:
    """The dotted paths in a run's config.json that may be imported and called, and the files that may be opened.

    Attributes:
      names: Dotted paths, npz:PATH and csv:PATH that the user has written.
      everything: Whether all of the run are trusted.
    """

    names: frozenset[str] = frozenset()
    everything: bool = False

    @classmethod
    def of(cls, config: RunConfig) -> Trust:
        """Returns the trust in the names of a configuration that the user has written."""
        return cls(frozenset({config.model, config.dataset}))

    def allows(self, name: str) -> bool:
        """Returns whether `name`, of a data set or a network, may be loaded."""
        return self.everything or name in self.names or not (is_path(name) or name.startswith(FILES))

    def check_model(self, config: RunConfig, path: Path) -> None:
        """Checks the network that a file names.

        Args:
          config: Configuration in the file.
          path: The file.

        Raises:
          BadInput: If its network is code that is not trusted; the message names all such code.
        """
        if not self.allows(config.model):
            raise BadInput("run_dir", path.parent, self.sentence(config, path))

    def sentence(self, config: RunConfig, path: Path) -> str:
        """Returns the names of code that are not trusted, and how to trust them, as the rest of a sentence."""
        named = {"model": config.model, "dataset": config.dataset}
        refused = [f"--{flag}={name}" for flag, name in named.items() if not self.allows(name)]
        code = [flag for flag in refused if not flag.partition("=")[2].startswith(FILES)]
        if not code:
            return (
                f"its {path.name} names a file outside of the run ({' '.join(refused)}), which is only opened if the "
                "command repeats this flag or has --trust_run"
            )
        modules = " and ".join(dict.fromkeys(flag.partition("=")[2].partition(":")[0] for flag in code))
        return (
            f"its {path.name} names code outside of this package ({' '.join(refused)}), which is only imported if the "
            f"command repeats these flags or has --trust_run; the folder of {modules} must then be the working "
            "directory or in PYTHONPATH"
        )


NO_TRUST = Trust()
