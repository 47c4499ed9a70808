"""Measurements: tinyae beside PyTorch and JAX, and NumPy beside CuPy. Run `python -m benchmarks --help`."""
