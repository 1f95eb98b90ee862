"""Restores the global settings of Keras after every test, as tests/masking/conftest.py does."""

from tests.masking.conftest import keras_is_left_as_it_was as keras_is_left_as_it_was
