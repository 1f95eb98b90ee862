"""Version of the package, a literal that the build reads from the source."""

__version__ = "0.1.0"
