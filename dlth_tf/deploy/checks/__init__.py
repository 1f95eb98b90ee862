"""Checks of an export, run in a fresh process that can import TensorFlow but not this package."""
