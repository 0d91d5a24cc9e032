"""Triton kernels of the operations in ``ops.reference``, for CUDA and, in tests, Triton's interpreter."""
