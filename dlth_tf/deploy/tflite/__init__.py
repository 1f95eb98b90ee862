"""LiteRT files, with sparse weights where the runtime has a fast kernel for them."""
