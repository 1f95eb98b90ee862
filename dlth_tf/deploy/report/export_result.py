"""The result of an export: the content of export.json as a dictionary that is short when it is shown."""

from __future__ import annotations

import html
from typing import Any


class ExportResult(dict[str, Any]):
    """Content of export.json; printed, it is one line per form."""

    def savings(self) -> dict[str, str]:
        """Returns by form what it saves beside the dense network in the same form, in words."""
        return {form: _saving(facts["bytes"], facts["dense_bytes"]) for form, facts in self.get("forms", {}).items()}

    def __repr__(self) -> str:
        lines = [f"  {form}: {words}" for form, words in self.savings().items()]
        return "\n".join([f"{type(self).__name__}: {self._head()}", *lines, *(f"  {note}" for note in self._notes())])

    def _repr_html_(self) -> str:
        """Returns a table of the forms, for notebooks."""
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{words}</td></tr>" for name, words in self.savings().items()
        )
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self._notes())
        return f"<p>{html.escape(self._head())}</p><table><tr><th>form</th><th>size</th></tr>{rows}</table>{notes}"

    def _head(self) -> str:
        counts = self.get("parameters", {})
        return f"{counts.get('nonzero', 0):,} of {counts.get('total', 0):,} parameters are nonzero"

    def _notes(self) -> list[str]:
        return [note for facts in self.get("forms", {}).values() for note in facts["notes"]]


def _saving(size: int, dense: int | None) -> str:
    """Returns a size beside that of the dense network.

    >>> _saving(250, 1000), _saving(1000, 1000), _saving(100, None)
    ('250 bytes, 25 % of the dense 1,000', '1,000 bytes, as many as the dense network', '100 bytes')
    """
    if dense is None:
        return f"{size:,} bytes"
    if size >= 0.995 * dense:
        return (
            f"{size:,} bytes, as many as the dense network"
            if size <= 1.005 * dense
            else (f"{size:,} bytes, more than the dense {dense:,}")
        )
    return f"{size:,} bytes, {100 * size / dense:.3g} % of the dense {dense:,}"
