"""A checkpoint's shards as a model directory for others, proved; and shards for another number of ranks."""
