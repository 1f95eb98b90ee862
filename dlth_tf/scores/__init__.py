"""One file per criterion: a score for every weight; the highest scores are kept. TensorFlow is imported when it is needed."""

from dlth_tf.scores.grasp import grasp
from dlth_tf.scores.magnitude import magnitude
from dlth_tf.scores.random import random
from dlth_tf.scores.snip import snip
from dlth_tf.scores.synflow import SynapticFlow

__all__ = ["SynapticFlow", "grasp", "magnitude", "random", "snip"]
