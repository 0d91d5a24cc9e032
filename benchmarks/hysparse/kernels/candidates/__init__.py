"""The kernels of sparse layers compared: union tiles, KV-outer in several configurations, and the choice by overlap.

All figures here are calculated for 32k tokens, 32 query and 8 KV heads, head dim 128, and 16 blocks of 64 keys. A pair
is a query and one of its blocks, for one KV head: 4.2 M pairs. Measured on an H200, union tiles take 6.9 ms where 16
queries choose 91 blocks. A tile's visit of a block reads 32 KiB and computes 2.1 MFLOP. In all that is 49 GB and 3.1
TFLOP, so the kernel is near 7 TB/s of L2 and 455 TFLOP/s at once. Better sharing alone, or fewer operations alone,
gains little.

- ``outer``: 0.55 TFLOP and no padding but each run's last tile. A pair's rows take 1 KiB. Queries are gathered (4.3
  GB), partials written in bfloat16 (4.3 GB) and read (4.3 GB). 8.6 GB through HBM at 4.3 TB/s take 2.0 ms, and the
  products take 1.4 ms at 400 TFLOP/s, partly hidden: 2.5 to 3.5 ms at any overlap. Measured: 3.8 ms. In the product.
- Two passes, normalisers first and float32 atomic sums then: 0.82 TFLOP, 8.6 GB of queries and 8.6 GB of atomic adds.
  At 2 TB/s the adds alone take 4.3 ms, and their order differs between runs. Not built.
- Partials that stay in L2: 512 queries of one KV head fill 8 MB. 512 queries have 16 readers a block at 32k, 4 at
  128k. Half-empty tiles then read 12 GB of keys and values, which costs what HBM cost. Not built.
- ``staged``: two tiles of 16 queries share about 136 staged blocks, and each skips what it did not choose: 3.1 TFLOP,
  but 36 GB instead of 49 GB. At 500 to 620 TFLOP/s that is 5 to 6 ms. Built and dropped: it ended with an illegal
  memory access on an H200. Reading found no wrong bound, mask or overflow, so the cause is unknown.
- Tiles of 8 queries as the narrow side of the product: 61 blocks, 2.0 TFLOP, but 65 GB: 10 ms. Not built.
- ``mixed``: blocks that 6 or more of 16 queries chose through union tiles, the other pairs through reader lists. Built,
  measured and dropped: by a trained model's choices ``mixed`` took as long as ``outer``.
"""
