"""Recurrent networks, and sequences whose length is free."""

from __future__ import annotations

import tf_keras

from tests.deploy.zoo.network import L, Network, last, sequence, tokens
from tests.deploy.zoo.refusals import STATE


def _stateful() -> tf_keras.Model:
    start = L.Input(batch_shape=(8, 12, 4))
    return tf_keras.Model(start, L.Dense(3)(L.LSTM(6, stateful=True)(start)))


EVERYWHERE = dict.fromkeys(("plain", "packed", "compact", "tflite", "onnx"), STATE)
NETWORKS = {
    "lstm": Network(last(lambda: L.LSTM(6)), batch=1),
    "gru": Network(last(lambda: L.GRU(6)), batch=1),
    "simple rnn": Network(last(lambda: L.SimpleRNN(6)), batch=1),
    "rnn of cells": Network(last(lambda: L.RNN([L.LSTMCell(6), L.GRUCell(5)])), batch=1),
    "lstm of sequences": Network(
        sequence(lambda: L.LSTM(6, return_sequences=True), lambda: L.LSTM(5, return_sequences=True)), batch=1
    ),
    "lstm backwards": Network(last(lambda: L.LSTM(6, go_backwards=True)), batch=1),
    "lstm unrolled": Network(last(lambda: L.LSTM(6, unroll=True))),
    "lstm with dropout": Network(last(lambda: L.LSTM(6, dropout=0.5, recurrent_dropout=0.5)), batch=1),
    "bidirectional lstm": Network(last(lambda: L.Bidirectional(L.LSTM(6))), batch=1),
    "bidirectional gru": Network(sequence(lambda: L.Bidirectional(L.GRU(6, return_sequences=True))), batch=1),
    "lstm of convolutions": Network(
        lambda: tf_keras.Sequential([L.Input((4, 6, 6, 2)), L.ConvLSTM2D(4, 3), L.Flatten(), L.Dense(3)]), batch=1
    ),
    "lstm of any length": Network(last(lambda: L.LSTM(6), length=None), batch=1),
    "lstm, stateful": Network(_stateful, batch=8, refused=EVERYWHERE),
    "conv 1d of any length": Network(sequence(lambda: L.Conv1D(6, 3, activation="relu"), length=None)),
    "tokens of any length": Network(tokens(length=None)),
}
