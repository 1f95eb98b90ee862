"""The layers of tf_keras by what they do to channels."""

from __future__ import annotations

import tf_keras

from dlth_tf.masking.structure.layer_kinds import JOIN, channelwise, types_in

TYPES = types_in(tf_keras.layers)
CHANNELWISE = channelwise(tf_keras.layers)
JOINING = TYPES[JOIN]
