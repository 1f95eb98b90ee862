"""The version of the package: a literal, read from the source when the package is built."""

__version__ = "0.1.0"
