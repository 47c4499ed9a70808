"""Lessons: one idea of deep learning each, as a script in plain NumPy with its backward pass derived and checked."""

NAMES = ("dense", "cross_entropy", "adam")  # in reading order
