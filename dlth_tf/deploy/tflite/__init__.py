"""Files for LiteRT, with sparse layers where they pay."""
