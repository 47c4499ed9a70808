"""Checks the batch of a loss: its arrays have one shape, and there is at least one example to average over."""

from .errors import ShapeError


def examples(x, batch_size=None):
    """Return the divisor of a mean over the batch: `batch_size` if x (N, ...) is a slice of a larger batch, else N.

    Raises ShapeError for an empty batch, because it has no mean.
    """
    if not x.shape:
        raise ShapeError("a mean loss needs a batch: expected an array (N, ...), got a single number")
    count = batch_size or x.shape[0]
    if not count:
        raise ShapeError(f"an empty batch has no mean loss: expected one example at least, got an array {x.shape}")
    return count


def same_shape(name, first, *others):
    """Raise ShapeError, naming the function `name`, unless all arrays have one shape: nothing is broadcast."""
    if any(other.shape != first.shape for other in others):
        shapes = " and ".join(str(array.shape) for array in (first, *others))
        raise ShapeError(f"{name}: expected arrays of one shape, got {shapes}")
