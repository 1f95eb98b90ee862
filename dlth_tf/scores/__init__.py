"""One file per criterion: a score for every weight; the highest scores are kept."""

from dlth_tf.scores.magnitude import magnitude
from dlth_tf.scores.random import random

__all__ = ["magnitude", "random"]
