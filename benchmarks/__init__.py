"""Measurements: tinyae compared with PyTorch and JAX, and NumPy with CuPy. Run `python -m benchmarks --help`."""
