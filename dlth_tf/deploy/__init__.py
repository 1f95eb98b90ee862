"""Export of trained networks to forms that stock TensorFlow or LiteRT runs without this package."""

from dlth_tf.deploy.atomic_folder import refuse_existing
from dlth_tf.deploy.examples import Examples
from dlth_tf.deploy.export import export
from dlth_tf.export_options import FORMATS

__all__ = ["FORMATS", "Examples", "export", "refuse_existing"]
