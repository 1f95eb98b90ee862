"""Clears the session of Keras after every test, as tests/masking/conftest.py does."""

from tests.masking.conftest import keras_session_is_cleared as keras_session_is_cleared
