"""Export of trained networks to forms that stock TensorFlow or LiteRT runs without this package."""

from dlth_tf.deploy.examples import Examples
from dlth_tf.deploy.export import FORMATS, export, refuse_existing

__all__ = ["FORMATS", "Examples", "export", "refuse_existing"]
