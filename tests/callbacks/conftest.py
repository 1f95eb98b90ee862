"""See tests/masking/conftest.py."""

from tests.masking.conftest import keras_is_left_as_it_was as keras_is_left_as_it_was
