"""What drawn images are worth beside data: by a classifier trained here, by their spread, by the nearest images."""

import numpy as np

from ..data import to_float
from ..data.examples import as_array, check_some
from ..errors import ConfigError, DataError, ShapeError
from ..options import DATASET, SEED, Count, options
from ..training.monitors import spread
from .classifier import train_classifier
from .diversity import entropy, nearest_images, rows, shares
from .frechet import frechet

COUNT, NEAR = 5000, 1000  # images that are judged at most, and those whose nearest training image is looked for
KNOWN = 60_000  # training images that these may be near to


class Judge:
    """Trains a classifier on `data`, a labelled Dataset of images; its weights are those of the seed.

    Attributes: `count`, how many images `figures` takes: as many as there are test images, COUNT at most; `accuracy` of
    the classifier on the test part; `data`, the `figures` of `count` training images, the best that samples can have,
    but "nearest" is how far test images are from the nearest training image.
    """

    @options(data=DATASET, seed=SEED)
    def __init__(self, data, seed=0):
        check_labelled_images(data)
        self.classifier, self.accuracy = train_classifier(data, seed)
        self.count = min(len(data.train), len(data.test), COUNT)
        self.test = evenly(data.test.x, self.count)
        self.seen = self.classifier.features(self.test)
        self.known = rows(evenly(data.train.x, KNOWN))
        self.data = self._beside(evenly(data.train.x, self.count)) | {"nearest": self._nearest(self.test)}

    def figures(self, drawn):
        """Of images (count, H, W, C) in [0, 1]:

        "frechet"           distance to the test images in the classifier's last hidden layer
        "sample_sharpness"  `sharpness` over that of the test images
        "diversity"         `spread` over that of the test images
        "class_entropy"     of how the classifier finds them spread over the classes, in nats, log(classes) at most
        "nearest"           mean distance to the nearest training image, of the first NEAR
        """
        return self._beside(drawn) | {"nearest": self._nearest(drawn)}

    def about(self):
        """What the figures depend on, JSON-ready."""
        settings = {"accuracy": self.accuracy, "features": self.seen.shape[1], "images": self.count}
        return {"classifier": settings, "training_images": self.data}

    def note(self):
        """The same in words."""
        return (
            f"Frechet distances are those of {self.count:,} samples and as many test images, in {self.seen.shape[1]} "
            f"features of a classifier that was trained here and is right on {self.accuracy:.1%} of the test images: "
            "compare them with one another alone"
        )

    def _beside(self, images):
        features = self.classifier.features(images)
        kinds = shares(self.classifier.classes_of(features), self.classifier.classes)
        return {
            "frechet": frechet(features, self.seen),
            "sample_sharpness": sharpness(images) / sharpness(self.test),
            "diversity": spread(images) / spread(self.test),
            "class_entropy": entropy(kinds),
        }

    def _nearest(self, images):
        return float(nearest_images(images[:NEAR], self.known)[1].mean())


@options(data=DATASET)
def check_labelled_images(data):
    """Raises DataError or ConfigError where a judge has nothing to learn from."""
    if data.train.labels is None or data.test is None or data.test.labels is None:
        raise DataError(f"a Frechet distance needs labelled training and test images, and {data.name} has none")
    if len(data.shape) != 3:
        raise ConfigError(f"a Frechet distance is that of images, and {data.name} has rows of {data.shape[0]}")


@options(most=Count())
def evenly(x, most):
    """`most` of the images x at most, spread evenly over them, as floats in [0, 1]."""
    x = as_array(x)
    check_some(x, "evenly")
    return to_float(np.asarray(x[np.linspace(0, len(x) - 1, min(len(x), most)).astype(int)]))


def sharpness(x):
    """Mean absolute difference of neighbouring pixels of x (N, H, W, C), down and across. Raises `ShapeError`."""
    x = to_float(as_array(x))
    if x.ndim != 4 or not x.size or min(x.shape[1:3]) < 2:
        raise ShapeError(f"sharpness: expected images (N, H, W, C) of two rows and columns or more, got {x.shape}")
    return float(np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean())
