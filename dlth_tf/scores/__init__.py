"""Pruning criteria, one per file: a score for every weight, of which the highest are kept. No TensorFlow at import."""

from dlth_tf.scores.grasp import grasp
from dlth_tf.scores.magnitude import magnitude
from dlth_tf.scores.random import random
from dlth_tf.scores.snip import snip
from dlth_tf.scores.synflow import SynapticFlow

__all__ = ["SynapticFlow", "grasp", "magnitude", "random", "snip"]
