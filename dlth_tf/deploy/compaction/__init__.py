"""Physical removal of filters, units and channels that a network's outputs do not need.

One channel of one tensor is a *slot*. Slots that can only be removed together (a convolution's output, the batch norm
after it, the other branch of an addition) form a *class*. A class is removed when no layer that mixes channels reads it
anymore:

    library.py           what is asked of a Keras: keras2.py and keras3.py, and the model's type decides
    graph.py             the network as layer calls on numbered tensors, and the kind of each call
    slots.py             classes of slots, and those that must stay
    constants.py         slots with the same value for every input
    constant_folding.py  constants folded into biases and into each other, and the classes that are dead then
    maps.py              constants behind zero padding, as a map of the positions (conv2d_with_map.py: its layer)
    rebuild.py           the smaller Keras model
    by_masks.py          the smaller network of a ticket, to be trained, with the places of its weights in the whole one
    leftovers.py         what is zero and stays, and why
    report.py            the two networks compared
"""

from dlth_tf.deploy.compaction.by_masks import Places, compact_by_masks
from dlth_tf.deploy.compaction.compact import compact, compact_and_explain
from dlth_tf.deploy.compaction.leftovers import Zeros
from dlth_tf.deploy.compaction.report import Report, kernel_shapes

__all__ = ["Places", "Report", "Zeros", "compact", "compact_and_explain", "compact_by_masks", "kernel_shapes"]
