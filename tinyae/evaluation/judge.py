"""Quality of sampled images compared with data: Frechet distance, sharpness, diversity, and the nearest images."""

import numpy as np

from ..data import to_float
from ..data.examples import as_array, check_some
from ..errors import ConfigError, DataError, ShapeError
from ..options import DATASET, SEED, Count, options
from ..training.monitors import spread
from .classifier import train_classifier
from .diversity import entropy, nearest_images, rows, shares
from .frechet import frechet

COUNT, NEAR = 5000, 1000  # largest numbers of images that are judged, and that are compared with training images
KNOWN = 60_000  # the largest number of training images for that comparison


class Judge:
    """Judges sampled images by a classifier, which is trained when a Judge is made.

    The attribute `count` is the number of images that `figures` takes: all test images, but at most COUNT. `accuracy`
    is the classifier's accuracy on the test images. `data` holds the `figures` of `count` training images, for
    comparison, but with "nearest" measured from test images to training images.

    Parameters
    ----------
    data : Dataset
        Labelled images, with a training and a test split.
    seed : int, default 0
        Seed of the classifier's training.
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
        """Measure sampled images (count, H, W, C) in [0, 1]; returns a dict.

        "frechet"           Frechet distance to the test images, in the classifier's last hidden layer
        "sample_sharpness"  ratio of the samples' `sharpness` to the test images'
        "diversity"         ratio of the samples' `spread` to the test images'
        "class_entropy"     entropy of the predicted classes in nats, at most log(classes)
        "nearest"           mean distance of the first NEAR samples to the nearest training image
        """
        return self._beside(drawn) | {"nearest": self._nearest(drawn)}

    def about(self):
        """The facts that the figures depend on, for JSON."""
        settings = {"accuracy": self.accuracy, "features": self.seen.shape[1], "images": self.count}
        return {"classifier": settings, "training_images": self.data}

    def note(self):
        """The same facts in a sentence."""
        return (
            f"Frechet distances are between {self.count:,} samples and as many test images, in {self.seen.shape[1]} "
            f"features of a classifier trained for this table (test accuracy {self.accuracy:.1%}): they cannot be "
            "compared with distances from elsewhere"
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
    """Raise DataError or ConfigError if the data are not labelled images with a training and a test split."""
    if data.train.labels is None or data.test is None or data.test.labels is None:
        raise DataError(f"a Frechet distance needs labelled training and test images, and {data.name} has none")
    if len(data.shape) != 3:
        raise ConfigError(f"a Frechet distance needs images, and {data.name} has examples of shape {data.shape}")


@options(most=Count())
def evenly(x, most):
    """At most `most` of the images x, evenly spaced, as floats in [0, 1]."""
    x = as_array(x)
    check_some(x, "evenly")
    return to_float(np.asarray(x[np.linspace(0, len(x) - 1, min(len(x), most)).astype(int)]))


def sharpness(x):
    """The mean absolute difference of vertical and of horizontal neighbours, added; x (N, H, W, C).

    Raises `ShapeError` for images with a single row or column.
    """
    x = to_float(as_array(x))
    if x.ndim != 4 or not x.size or min(x.shape[1:3]) < 2:
        raise ShapeError(f"sharpness: expected images (N, H, W, C) with at least two rows and columns, got {x.shape}")
    return float(np.abs(np.diff(x, axis=1)).mean() + np.abs(np.diff(x, axis=2)).mean())
