"""Sparse weights for the fully connected layers of a TensorFlow Lite model.

TensorFlow Lite's own kernel for FULLY_CONNECTED multiplies by sparse float32 weights as they are stored, at random
positions or in blocks of four inputs. TensorFlow's converter writes them only above 96.5 % random zeros or for perfect
blocks. Below that it inserts a DENSIFY operation, which unpacks the weights and loses the speed. So the weights are
encoded here. Convolutions stay dense: their sparse kernels are disabled on x86 CPUs (XNNPACK,
xnn_is_chw_compatible_config).
"""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from dlth_tf.deploy.tflite.sparse_formats import Sparse, best_format, encode

SPARSE_VERSION = 8  # of the operator; older versions are delegated to XNNPACK, which makes the weights dense again
ALIGNMENT = 16  # bytes: the alignment of buffers that the file format guarantees to kernels
_FILE_IDENTIFIER = b"TFL3"


def sparsify(model: bytes) -> tuple[bytes, dict[str, str]]:
    """Stores weights of fully connected layers sparse where that makes the layer faster at batch 1.

    Args:
      model: Content of a float32 .tflite file.

    Returns:
      The new content, and for each sparse layer the name of its result and the format, "random" or "1x4 blocks".
    """
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    sparse = {}
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            weights = _weights(parsed, graph, operator)
            if weights is not None and (block := best_format(weights)):
                _store(parsed, graph.tensors[operator.inputs[1]], encode(weights, block))
                operator.opcodeIndex = _sparse_opcode(parsed, operator.opcodeIndex)
                result = graph.tensors[operator.outputs[0]].name.decode()
                sparse[result] = "random" if block == 1 else f"1x{block} blocks"
    return (_pack(parsed), sparse) if sparse else (model, {})


def _weights(model: Any, graph: Any, operator: Any) -> np.ndarray | None:
    """Returns the weights, float32[outputs, inputs], of a fully connected layer that reads one vector per image."""
    if model.operatorCodes[operator.opcodeIndex].builtinCode != schema.BuiltinOperator.FULLY_CONNECTED:
        return None
    place = operator.inputs[1]
    tensor = graph.tensors[place]
    readers = sum(place in other.inputs for other in graph.operators)
    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or tensor.sparsity is not None or readers != 1:
        return None
    if np.prod(graph.tensors[operator.inputs[0]].shape) != tensor.shape[1]:
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(tensor.shape)


def _store(model: Any, tensor: Any, sparse: Sparse) -> None:
    """Makes the tensor sparse: its buffer holds the stored values, its sparsity parameters their positions."""
    dense_rows = schema.DimensionMetadataT()
    dense_rows.denseSize = tensor.shape[0]
    pieces = schema.DimensionMetadataT()
    pieces.format = schema.DimensionType.SPARSE_CSR
    pieces.arraySegmentsType, pieces.arraySegments = _vector(sparse.segments)
    pieces.arrayIndicesType, pieces.arrayIndices = _vector(sparse.indices)
    parameters = schema.SparsityParametersT()
    parameters.traversalOrder = [0, 1]
    parameters.dimMetadata = [dense_rows, pieces]
    if sparse.block > 1:
        inside = schema.DimensionMetadataT()
        inside.denseSize = sparse.block
        parameters.traversalOrder = [0, 1, 2]
        parameters.blockMap = [1]
        parameters.dimMetadata.append(inside)
    tensor.sparsity = parameters
    buffer = schema.BufferT()
    buffer.data = sparse.values.view(np.uint8)
    model.buffers.append(buffer)  # the old buffer may belong to another tensor too
    tensor.buffer = len(model.buffers) - 1


def _vector(values: np.ndarray) -> tuple[int, Any]:
    """Returns type and content of a vector in the smallest of the file format's three integer types."""
    largest = int(values.max(initial=0))
    for bits, kind in ((8, "Uint8Vector"), (16, "Uint16Vector"), (32, "Int32Vector")):
        if largest < 2 ** (bits if bits < 32 else 31):
            vector = getattr(schema, f"{kind}T")()
            vector.values = values.astype(np.int32 if bits == 32 else f"uint{bits}")
            return getattr(schema.SparseIndexVector, kind), vector
    raise ValueError(f"the index {largest} exceeds the range of int32")


def _sparse_opcode(model: Any, index: int) -> int:
    """Returns the index of operator code `index` in the version that takes sparse weights, added if necessary."""
    code = copy.copy(model.operatorCodes[index])
    code.version = SPARSE_VERSION
    for place, other in enumerate(model.operatorCodes):
        if vars(other) == vars(code):
            return place
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


class _Aligned(flatbuffers.Builder):
    """Builder that aligns vectors of bytes to ALIGNMENT.

    Python's own builder aligns a vector to its elements only, but kernels read buffers of bytes as float32, several at
    a time.
    """

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)


def _pack(model: Any) -> bytes:
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for place, buffer in enumerate(model.buffers):
        if place not in used:
            buffer.data = None  # the numbering of buffers must not change, so only their content is removed
    builder = _Aligned(1024)
    builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
    return bytes(builder.Output())
