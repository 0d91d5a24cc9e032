"""Import: rows from the files, folders and hub data sets that people have."""
