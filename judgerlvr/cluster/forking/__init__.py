"""Python processes forked from a server that has imported the libraries. New interpreters would import all again."""
