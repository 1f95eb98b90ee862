"""LayerChoice: the layers that `skip` and `only` choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dlth_tf.core.patterns import texts
from dlth_tf.errors import BadInput
from dlth_tf.masking.structure.layer_paths import Path, matches_path


@dataclass(frozen=True)
class LayerChoice:
    """Patterns of layers that are left out, and of those that alone are pruned (none: all).

    Attributes:
      skip: Patterns of layers that are left out.
      only: Patterns of the layers that alone are pruned; none: all of them.
    """

    skip: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    @classmethod
    def parse(cls, skip: str | Sequence[str], only: str | Sequence[str]) -> LayerChoice:
        """Returns the choice of patterns that are lists or separated by commas.

        Raises:
          BadInput: If `skip` or `only` is neither text nor several texts.
        """
        return cls(_patterns("skip", skip), _patterns("only", only))

    def check(self, paths: Sequence[Path]) -> LayerChoice:
        """Returns the choice if every pattern means one of the layers.

        Raises:
          BadInput: If a pattern means none.
        """
        for kind, patterns in (("skip", self.skip), ("only", self.only)):
            for pattern in patterns:
                if not any(matches_path(path, pattern) for path in paths):
                    names = ", ".join("/".join(path) for path in paths)
                    raise BadInput(kind, pattern, f"matches no layer; the model has {names}")
        return self

    def includes(self, path: Path) -> bool:
        """Returns whether the layer at a path is pruned."""
        left_out = any(matches_path(path, pattern) for pattern in self.skip)
        return not left_out and (not self.only or any(matches_path(path, pattern) for pattern in self.only))


def _patterns(kind: str, patterns: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(patterns, str):
        return tuple(part.strip() for part in patterns.split(",") if part.strip())
    words = texts(patterns)
    if words is None:
        raise BadInput(kind, patterns, "must be layer names or patterns: one text, or several")
    return words
