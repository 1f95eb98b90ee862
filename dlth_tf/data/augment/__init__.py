"""Augmentations: functions of whole batches, by name."""
