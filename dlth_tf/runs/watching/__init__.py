"""Progress, history and TensorBoard files of a run."""
