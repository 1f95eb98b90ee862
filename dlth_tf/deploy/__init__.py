"""From a trained network to forms that a stock TensorFlow or LiteRT runs without this package."""

from dlth_tf.deploy.export import FORMATS, export, refuse_existing
from dlth_tf.deploy.verification import Examples

__all__ = ["FORMATS", "Examples", "export", "refuse_existing"]
