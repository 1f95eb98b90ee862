"""compact: the same outputs from a smaller network."""

from __future__ import annotations

import tf_keras

from dlth_tf.deploy.compaction.arrays import Arrays
from dlth_tf.deploy.compaction.constant_folding import dead_classes
from dlth_tf.deploy.compaction.graph import read
from dlth_tf.deploy.compaction.rebuild import rebuild
from dlth_tf.deploy.compaction.slots import divide


def compact(model: tf_keras.Model) -> tf_keras.Model:
    """Takes out of a network whatever filters, units and channels its outputs do not need.

    A filter goes if all its weights are zero, or if nothing that follows looks at it, with its batch norm and the input
    channels of the next layers; what only it needed goes too. Channels that additions tie together go together or not at
    all. Inputs and outputs of the model stay as they are. So does everything at layers that are not known here: nested
    models, layers with weights that are called twice, grouped and transposed convolutions, functions on tensors, layers of
    the user's own, calls with options such as training=True.

    The outputs are equal up to rounding (about 1e-6 of the largest logit in float32). A removed filter of a layer with
    bias or batch norm is a constant; it moves into the bias of the next layer, or, where padding or a missing bias forbids
    that, all constants of a tensor are merged into one channel, which stays.

    Args:
      model: a built Functional or Sequential model, stripped. It is not changed.

    Returns:
      A model with layers of the same names, and weights of its own; not compiled. It equals `model` layer by layer where
      nothing could be removed.

    Raises:
      BadInput: a wrapped model; one whose graph is not known (subclassed, not built); a layer of the user's own that cannot be
        made again from its config.
    """
    graph = read(model)
    slots, arrays = divide(graph), Arrays(graph)
    dead = dead_classes(graph, slots, arrays)
    return rebuild(model, graph, arrays, [~dead[labels] for labels in slots.labels])
