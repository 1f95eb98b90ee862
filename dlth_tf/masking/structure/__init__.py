"""The structure of models that pruning goes by: kinds, names and paths of layers, and which of them are tied."""
