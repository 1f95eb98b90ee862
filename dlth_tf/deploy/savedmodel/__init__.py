"""SavedModels that stock TensorFlow loads, as small as their sparsity allows."""
