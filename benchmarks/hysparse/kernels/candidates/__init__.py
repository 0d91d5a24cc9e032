"""Candidates for sparse attention over choices with little overlap. A winner moves into the product.

All figures here are calculated for 32k tokens, 32 query and 8 KV heads, head dim 128, and 16 blocks of 64 keys. A pair
is a query and one of its blocks, for one KV head: 4.2 M pairs. Measured on an H200, the present kernel takes 6.9 ms
where 16 queries choose 91 blocks. A tile's visit of a block reads 32 KiB and computes 2.1 MFLOP. In all that is 49 GB
and 3.1 TFLOP, so the kernel is near 7 TB/s of L2 and 455 TFLOP/s at once. Better sharing alone, or fewer
operations alone, gains little.

- ``kv_outer``: 0.55 TFLOP and no padding but each run's last tile. A pair's rows take 1 KiB. Queries are gathered (4.3
  GB), partials written in bfloat16 (4.3 GB) and read (4.3 GB). 8.6 GB through HBM at 4.3 TB/s take 2.0 ms, and the
  products take 1.4 ms at 400 TFLOP/s, partly hidden: 2.5 to 3.5 ms at any overlap.
- Two passes, normalisers first and float32 atomic sums then: 0.82 TFLOP, 8.6 GB of queries and 8.6 GB of atomic adds.
  At 2 TB/s the adds alone take 4.3 ms, and their order differs between runs. Not built.
- Partials that stay in L2: 512 queries of one KV head fill 8 MB. 512 queries have 16 readers a block at 32k, 4 at
  128k. Half-empty tiles then read 12 GB of keys and values, which costs what HBM cost. Not built.
- ``staged``: two tiles of 16 queries share about 136 staged blocks, and each skips what it did not choose: 3.1 TFLOP,
  but 36 GB instead of 49 GB. At 500 to 620 TFLOP/s that is 5 to 6 ms. Built and dropped: it ended with an illegal
  memory access on an H200. Reading found no wrong bound, mask or overflow, so the cause is unknown. ``mixed`` was
  measured at 3.4 ms, below what ``staged`` could reach.
- Tiles of 8 queries as the narrow side of the product: 61 blocks, 2.0 TFLOP, but 65 GB: 10 ms. Not built.
- ``mixed``: in a tile of 16 queries, 11 or 12 blocks have 6 readers or more and hold half of the pairs. Union tiles
  take those blocks (0.4 TFLOP, 6.3 GB), and reader lists take the other pairs (0.3 TFLOP, half of the partials).
  Together about 2.4 ms. With overlap 0.9, nine tenths of the pairs go through union tiles.

``outer_backward`` gives the gradients behind either forward pass. ``chosen`` takes the present kernel, ``mixed`` or
``outer`` by how much neighbours share.
"""
