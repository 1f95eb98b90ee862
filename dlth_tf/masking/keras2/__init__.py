"""Masks and tickets on models of Keras 2 (tf_keras), on tf-mot's wrapper."""
