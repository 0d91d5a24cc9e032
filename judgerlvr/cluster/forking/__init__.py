"""Python processes that begin with the libraries imported: forks of one server, in the place of new interpreters."""
