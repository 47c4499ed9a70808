"""Lessons: one idea of deep learning each, as a script in plain NumPy with its backward pass derived and checked."""

NAMES = (  # in reading order
    "dense", "cross_entropy", "adam", "normalization", "convolution", "transposed_convolution", "residual",
    "autoencoder", "vae", "vq_vae", "pixelcnn", "gan", "aae",
)  # fmt: skip
