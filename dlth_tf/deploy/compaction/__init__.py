"""Physical removal: filters, units and channels that a network can do without are taken out of its layers.

One channel of one tensor is a *slot*. Slots that can only go together (a convolution's output, the batch norm after it, the
other branch of an addition) form a *class*. A class goes when no layer that mixes channels reads it any more:

    graph.py      the network as steps from tensors to tensors, and what kind each step is
    slots.py      which slots belong together, and which must stay
    constants.py  which slots hold one and the same number for every input
    folding.py    constants move into biases and into each other; then what nobody reads goes, up to the network's beginning
    rebuild.py    the smaller Keras model
"""

from dlth_tf.deploy.compaction.compact import compact
from dlth_tf.deploy.compaction.difference import removed

__all__ = ["compact", "removed"]
