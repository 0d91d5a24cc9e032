"""The report: run folders in, one static HTML page out. Nothing is computed that a run did not measure."""
