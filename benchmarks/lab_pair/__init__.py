"""A pair of runs of the lab's best cell through the product's own stages. See README.md."""
