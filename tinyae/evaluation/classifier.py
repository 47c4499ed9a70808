"""A small convolutional classifier, which gives sampled images classes and feature vectors."""

import math

from ..backend import array_module
from ..data import Dataset
from ..declared import BACKEND, DTYPE, INPUT_SHAPE, declared
from ..declared import SEED as FIRST_SEED
from ..layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from ..losses import cross_entropy_with_logits
from ..models.labelled import CLASSES, Labelled
from ..models.model import Model
from ..networks.autoencoder import image_shape
from ..options import DATASET, SEED, options
from ..traits import Labels, Parts

CHANNELS, UNITS, DROPOUT = (32, 64), 128, 0.5
STEPS, BATCH, RATE = 1000, 128, 2e-3


class Classifier(Labelled, Model):
    """A convolutional classifier of images.

        h = features(x),   p(class | x) = softmax(head(h)),   loss = -log p(label | x) in nats

    features: for each of CHANNELS a 3x3 convolution, ReLU and 2x2 max-pooling, then Dense and ReLU to UNITS. head:
    dropout and Dense. The terms are "loss" and "accuracy", the share of examples whose most probable class is correct.
    For images of 28 x 28 x 1 and ten classes it has 421,642 parameters.
    """

    name = "classifier"
    terms = ("loss", "accuracy")
    labels = Labels(without="leave the classifier out")
    cut = Parts(32)  # a convolution is equally fast on few images

    @declared
    def __init__(self, input_shape=INPUT_SHAPE, classes=CLASSES, seed=FIRST_SEED, backend=BACKEND, dtype=DTYPE):
        self.input_shape, self.classes = image_shape(input_shape), classes
        self.config["input_shape"] = self.input_shape
        levels = [layer for c in CHANNELS for layer in (Conv2D(c, 3, init="he"), ReLU(), MaxPool2D(2, padding="same"))]
        features = Sequential(*levels, Flatten(), Dense(UNITS, init="he"), ReLU())
        networks = {
            "features": (features, self.input_shape),
            "head": (Sequential(Dropout(DROPOUT), Dense(self.classes)), (UNITS,)),
        }
        self.build(networks)

    def step(self, net, x, labels):                                       # x (N, H, W, C), labels (N,)
        h, c_features = net.features.forward(x)                           # (N, UNITS)
        logits, c_head = net.head.forward(h)                              # (N, classes)
        loss, dlogits = cross_entropy_with_logits(logits, labels, net.count)   # (), (N, classes)

        if net.needs_grads:
            dh = net.head.backward(c_head, dlogits)                       # (N, UNITS), as logits = head(h)
            net.features.add_grads(c_features, dh)                        # as h = features(x)
        right = (logits.argmax(axis=-1) == labels).astype(logits.dtype).sum()
        return {"loss": loss, "accuracy": right / net.count}

    def features(self, x):
        """The last hidden layer for images x (N, H, W, C), a NumPy array (N, UNITS)."""
        return self.in_chunks(lambda part: self.apply("features", self._inputs(part)), self.admit(x))

    def classes_of(self, features):
        """The most probable class for each row of `features` (N, UNITS), a NumPy array (N,)."""

        def most_probable(part):
            h = self.backend.asarray(part, self.dtype)
            return array_module(h).argmax(self.apply("head", h), axis=-1)

        return self.in_chunks(most_probable, features)


@options(data=DATASET, seed=SEED)
def train_classifier(data, seed=0):
    """Train a classifier of images; returns (Classifier, its accuracy on the test images).

    data: a labelled Dataset of images. Training takes about STEPS steps of Adam, in whole epochs, with mini-batches of
    BATCH images and a learning rate that falls from RATE to 0 along a cosine. seed: seed of weights, order and dropout.
    """
    from ..training import fit

    model = Classifier(data.shape, data.class_count, seed=seed)
    model.check_labels(data.test.labels, len(data.test))
    epochs = math.ceil(STEPS / math.ceil(len(data.train) / BATCH))
    options = dict(batch_size=BATCH, lr=RATE, schedule="cosine", seed=seed, progress=False)
    fit(model, Dataset(data.name, data.train, class_names=data.class_names), epochs=epochs, **options)
    right = model.classes_of(model.features(data.test.x)) == data.test.labels
    return model, float(right.mean())
