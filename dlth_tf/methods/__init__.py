"""One file per method: a name, its paper, and a list of phases."""

from dlth_tf.methods.phase import LearningRate, Method, Network, Phase, Recipe
from dlth_tf.registry import Registry

METHODS = Registry(
    "method",
    {
        "dense": "dlth_tf.methods.dense:METHOD",
        "scratch": "dlth_tf.methods.scratch:METHOD",
        "lth": "dlth_tf.methods.lth:METHOD",
        "rst": "dlth_tf.methods.rst:METHOD",
        "rst_iter": "dlth_tf.methods.rst_iter:METHOD",
        "lth_iter": "dlth_tf.methods.lth_iter:METHOD",
        "l1": "dlth_tf.methods.l1:METHOD",
        "l1_iter": "dlth_tf.methods.l1_iter:METHOD",
        "scratch_long": "dlth_tf.methods.scratch_long:METHOD",
        "lth_long": "dlth_tf.methods.lth_long:METHOD",
        "small_dense": "dlth_tf.methods.small_dense:METHOD",
        "early_bird": "dlth_tf.methods.early_bird:METHOD",
        "snip": "dlth_tf.methods.snip:METHOD",
        "grasp": "dlth_tf.methods.grasp:METHOD",
        "synflow": "dlth_tf.methods.synflow:METHOD",
        "gmp": "dlth_tf.methods.gmp:METHOD",
        "set": "dlth_tf.methods.set:METHOD",
        "rigl": "dlth_tf.methods.rigl:METHOD",
        "ste": "dlth_tf.methods.ste:METHOD",
    },
)

__all__ = ["METHODS", "LearningRate", "Method", "Network", "Phase", "Recipe"]
