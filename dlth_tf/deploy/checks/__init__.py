"""Checks of an export, in a fresh process that knows TensorFlow alone."""
