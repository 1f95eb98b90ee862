"""From a trained network to a SavedModel that any TensorFlow loads without this package."""

from dlth_tf.deploy.export import FORMATS, export, refuse_existing

__all__ = ["FORMATS", "export", "refuse_existing"]
