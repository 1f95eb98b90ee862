"""Augmentations by name, as stateless functions of whole batches."""
