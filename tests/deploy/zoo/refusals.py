"""The reasons why a form cannot hold a network: part of the sentence, and the words for the table on the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """A reason.

    Attributes:
      sentence: Part of the sentence with which an export is refused.
      words: Description of the reason in the table.
    """

    sentence: str
    words: str


TABLE = Refusal("is neither an input nor a variable", "a lookup table is neither a variable nor a constant")
NO_OPERATION = Refusal("it has no operation for tf.", "LiteRT has no operation for it")
NO_ONNX = Refusal("tf2onnx has no operation for ", "ONNX has no operation for it")
FREE_BATCH = Refusal(
    "a fixed batch size (batch=1) helps some networks", "LiteRT's kernel needs a fixed batch size (`--batch=1`)"
)
UNKNOWN_GRAPH = Refusal("has no known graph to compact", "the graph of a subclassed network is not known")
STATE = Refusal("keeps a state between calls", "the calls of clients are independent: build it with `stateful=False`")
TABLES = {"packed": TABLE, "compact": TABLE, "onnx": TABLE}
ONLY_SAVED_MODELS = {"tflite": NO_OPERATION}
WITHOUT_ONNX = {"onnx": NO_ONNX}
