"""Small networks of every kind that a user of Keras has, for the export."""

from __future__ import annotations

from tests.deploy.zoo import (
    activations,
    attention,
    convolutions,
    normalizations,
    preprocessing,
    recurrent,
    structures,
)
from tests.deploy.zoo.network import Network

KINDS: dict[str, dict[str, Network]] = {
    "activations": activations.NETWORKS,
    "normalization and precision": normalizations.NETWORKS,
    "convolutions and dense layers": convolutions.NETWORKS,
    "attention and subclassed": attention.NETWORKS,
    "recurrent": recurrent.NETWORKS,
    "inputs, outputs and tasks": structures.NETWORKS,
    "preprocessing": preprocessing.NETWORKS,
}
ZOO: dict[str, Network] = {name: network for networks in KINDS.values() for name, network in networks.items()}
