"""HTML pages from templates: they load nothing and run nothing."""
