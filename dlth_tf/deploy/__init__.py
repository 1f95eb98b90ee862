"""From a trained network to a SavedModel that any TensorFlow loads without this package."""

from dlth_tf.deploy.export import FORMATS, export, refuse_existing
from dlth_tf.deploy.from_run import best_run, export_run

__all__ = ["FORMATS", "best_run", "export", "export_run", "refuse_existing"]
