"""SavedModels that any TensorFlow loads, as small as their sparsity allows."""
