"""What losses ask of a batch: arrays of one shape, and at least one example to average over."""

from .errors import ShapeError


def examples(x, batch_size=None):
    """What a mean over the batch divides by: `batch_size` where x (N, ...) is a part of a larger batch, else N.

    Raises ShapeError for an empty batch, which has no mean.
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
