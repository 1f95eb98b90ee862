"""Sources of images: one file per data set or kind of source."""
