"""See tests/masking/conftest.py."""

from ..masking.conftest import keras_is_left_as_it_was as keras_is_left_as_it_was
