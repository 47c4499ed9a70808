"""What tests of pictures share."""

import numpy as np

FASHION = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Boot".split()


def read(path):
    """The pixels of a PNG, (H, W, 3)."""
    from PIL import Image  # imported here, because tests skip where Pillow is missing

    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).copy()


def history(epochs, validation=True):
    """Records of a training, as many as epochs."""
    records = []
    for epoch in range(1, epochs + 1):
        train = {"loss": 100 + 50 / epoch, "reconstruction": 90 + 49 / epoch, "kl": np.float32(10 + 1 / epoch)}
        records.append({"epoch": epoch, "step": epoch * 10, "train": train, "lr": 1e-3})
        if validation:
            records[-1]["validation"] = {name: value + 1 for name, value in train.items()}
    return records


def images(n, h=8, w=8, c=1, seed=0):
    """Noise whose corners are neither white nor near it, so that cells are found on the white paper."""
    return np.random.default_rng(seed).uniform(0, 0.8, (n, h, w, c)).astype(np.float32)
