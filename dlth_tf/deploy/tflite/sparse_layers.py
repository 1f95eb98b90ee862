"""Sparse weights for the fully connected layers of a TensorFlow Lite model.

TensorFlow Lite's own kernel for FULLY_CONNECTED multiplies by sparse float32 weights as they are stored, random or in
blocks of four inputs. TensorFlow's converter writes them only above 96.5 % of random zeros or for perfect blocks; below,
it puts a DENSIFY in front, which unpacks them and costs the speed. So the weights are encoded here. Convolutions are left
dense: their sparse kernels are switched off on x86 CPUs (XNNPACK, xnn_is_chw_compatible_config).
"""

from __future__ import annotations

import copy
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from dlth_tf.deploy.tflite.sparse_formats import Sparse, best_format, encode

SPARSE_VERSION = 8  # of the operator; an older one goes to XNNPACK, which makes the weights dense again
ALIGNMENT = 16  # bytes: what the file format promises to kernels about buffers
_FILE_IDENTIFIER = b"TFL3"


def sparsify(model: bytes) -> tuple[bytes, dict[str, str]]:
    """Stores weights of fully connected layers sparse wherever that makes the layer faster at batch 1.

    Args:
      model: a float32 .tflite file.

    Returns:
      The new file, and for each layer that is sparse now the name of its result and the format, "random" or "1x4 blocks".
    """
    parsed = schema.ModelT.InitFromPackedBuf(model, 0)
    sparse = {}
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            weights = _weights(parsed, graph, operator)
            if weights is not None and (block := best_format(weights)):
                _store(parsed, graph.tensors[operator.inputs[1]], encode(weights, block))
                operator.opcodeIndex = _sparse_opcode(parsed, operator.opcodeIndex)
                sparse[graph.tensors[operator.outputs[0]].name.decode()] = (
                    "random" if block == 1 else f"1x{block} blocks"
                )
    return (_pack(parsed), sparse) if sparse else (model, {})


def _weights(model: Any, graph: Any, operator: Any) -> np.ndarray | None:
    """float32 [outputs, inputs] of a fully connected layer that sees one vector per image; None of anything else."""
    if model.operatorCodes[operator.opcodeIndex].builtinCode != schema.BuiltinOperator.FULLY_CONNECTED:
        return None
    place = operator.inputs[1]
    tensor, readers = graph.tensors[place], sum(place in other.inputs for other in graph.operators)
    data = model.buffers[tensor.buffer].data
    if tensor.type != schema.TensorType.FLOAT32 or data is None or tensor.sparsity is not None or readers != 1:
        return None
    if np.prod(graph.tensors[operator.inputs[0]].shape) != tensor.shape[1]:
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), np.float32).reshape(tensor.shape)


def _store(model: Any, tensor: Any, sparse: Sparse) -> None:
    """Makes the tensor sparse: its buffer holds the stored values, its sparsity says where they belong."""
    dense_rows, pieces = schema.DimensionMetadataT(), schema.DimensionMetadataT()
    dense_rows.denseSize = tensor.shape[0]
    pieces.format = schema.DimensionType.SPARSE_CSR
    pieces.arraySegmentsType, pieces.arraySegments = _vector(sparse.segments)
    pieces.arrayIndicesType, pieces.arrayIndices = _vector(sparse.indices)
    parameters = schema.SparsityParametersT()
    parameters.traversalOrder, parameters.dimMetadata = [0, 1], [dense_rows, pieces]
    if sparse.block > 1:
        inside = schema.DimensionMetadataT()
        inside.denseSize = sparse.block
        parameters.traversalOrder, parameters.blockMap = [0, 1, 2], [1]
        parameters.dimMetadata.append(inside)
    tensor.sparsity = parameters
    buffer = schema.BufferT()
    buffer.data = sparse.values.view(np.uint8)
    model.buffers.append(buffer)  # the old one may serve another tensor
    tensor.buffer = len(model.buffers) - 1


def _vector(values: np.ndarray) -> tuple[int, Any]:
    """Numbers in the smallest of the file format's three integer types."""
    largest = int(values.max(initial=0))
    for bits, kind in ((8, "Uint8Vector"), (16, "Uint16Vector"), (32, "Int32Vector")):
        if largest < 2 ** (bits if bits < 32 else 31):
            vector = getattr(schema, f"{kind}T")()
            vector.values = values.astype(np.int32 if bits == 32 else f"uint{bits}")
            return getattr(schema.SparseIndexVector, kind), vector
    raise ValueError(f"a sparse tensor cannot have an index of {largest}")


def _sparse_opcode(model: Any, index: int) -> int:
    """The operator code `index` in the version that takes sparse weights, added if need be."""
    code = copy.copy(model.operatorCodes[index])
    code.version = SPARSE_VERSION
    for place, other in enumerate(model.operatorCodes):
        if vars(other) == vars(code):
            return place
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


class _Aligned(flatbuffers.Builder):
    """Python's builder aligns a vector to its elements only; kernels read buffers of bytes as float32, several at once."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)


def _pack(model: Any) -> bytes:
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors} | {
        entry.buffer for entry in model.metadata or ()
    }
    for place, buffer in enumerate(model.buffers):
        if place not in used:
            buffer.data = None  # numbers of buffers stay as they are, their content goes
    builder = _Aligned(1024)
    builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
    return bytes(builder.Output())
