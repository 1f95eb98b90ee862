"""Exports of Keras 3 models: as a network of tf_keras around them, in a process with TensorFlow as the backend."""
