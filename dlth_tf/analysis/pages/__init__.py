"""HTML pages: the report of a sweep and the page of a run."""
