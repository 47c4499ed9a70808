"""What the models share whose batches need labels: (N,) integers in [0, classes)."""

import numpy as np

from ..backend import on_device
from ..backend.indices import one_hot
from ..data.examples import as_array
from ..data.labels import as_labels, check_classes, one_for_all
from ..declared import Option
from ..errors import ConfigError, ShapeError
from ..options import Count, Optional, options
from ..traits import Labels

CLASSES = Option(
    10, Count(), "The number of classes of the labels; tinyae train takes it from the data.",
)


class Labelled:
    """Mixed into a VAE, in front of it. A subclass sets `classes` and says what a style is:

    style(x, labels)   -> (N, D): what the code of x says in addition to its label, distributed as N(0, I)
    styled(z, labels)  -> images of the styles z (N, D) under labels (N,)
    style_dim          D, `latent_dim` where a code is a style
    """

    labels = Labels()

    @property
    def style_dim(self):
        return self.latent_dim

    def admit_batch(self, batch):
        batch = super().admit_batch(batch)
        if not self.labels:
            return batch
        self._need_labels(batch)
        labels = batch["labels"]
        return batch | {"labels": labels if on_device(labels) else self.known(labels, len(batch["x"]))}

    def _need_labels(self, batch):
        if "labels" not in batch:
            raise ConfigError(f"{self.name} needs labels: a batch is a dict with 'x' and 'labels', got {sorted(batch)}")

    def prepare(self, batch):
        self._need_labels(batch)
        return super().prepare(batch)

    @options(count=Optional(Count(0, None)))
    def check_labels(self, labels, count=None):
        """Refuse labels that are missing, that are no classes of this model, or that are not `count`."""
        if not self.labels:
            raise ConfigError(f"{self.name} was trained without labels: leave them out, or train with classes")
        if labels is None:
            instead = f"give labelled data, or {self.labels.without}"
            raise ConfigError(f"{self.name} needs labels, and there are none: {instead}")
        check_classes(as_labels(labels, count, self.name), self.classes, self.name, self.labels.least)

    def known(self, labels, count):
        """The labels of `count` examples, or one label for all of them, checked, as a NumPy array (count,)."""
        if labels is not None:
            labels = self.backend.to_host(as_labels(one_for_all(labels, count), count, self.name))
        self.check_labels(labels, count)
        return labels

    def one_hot(self, labels):
        """(N,) -> (N, classes), on the device; zeros for -1 where that stands for no known class."""
        return one_hot(labels, self.classes, self.dtype, self.name, self.labels.least)

    def example_batch(self, noise, n):
        labels = (noise.uniform("labels", (n,)) * self.classes).astype("int64")
        return super().example_batch(noise, n) | {"labels": labels}

    def sample(self, n, seed=0, labels=None):
        """(n, *input_shape): means of p(x|z) for sampled styles, as a NumPy array.

        labels: (n,), one for all, or None for the classes in turn.
        """
        n, noise = self.draw(n, seed)
        labels = np.arange(n) % self.classes if labels is None else labels
        return self.styled(noise.normal("sample", (n, self.latent_dim), self.dtype), labels)

    def styles(self, z):
        """z as an array (N, D) of styles. Raises `ShapeError`, and `ConfigError` where the model has no styles."""
        if not (self.labels and self.labels.styles):
            raise ConfigError(f"{self.name} has no styles: train cvae or class-mean-vae")
        z = as_array(z, "z")
        if z.ndim != 2 or z.shape[1] != self.style_dim:
            raise ShapeError(f"{self.name}: expected styles of shape (N, {self.style_dim}), got {z.shape}")
        return z

    def across(self, z):
        """(N, classes, *input_shape): each of the styles z (N, D) under every label."""
        z = self.styles(z)
        n = len(z)
        images = self.styled(z.repeat(self.classes, axis=0), np.tile(np.arange(self.classes), n))
        return images.reshape(n, self.classes, *self.input_shape)
