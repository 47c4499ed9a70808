"""Converts examples of any form to arrays, by position, and refuses values that no model can use.

`fit`, `Split`, the methods of models, the functions of `evaluation` and the commands all call it once. An array on a
device is returned unchanged, because checking its values would wait for the device.
"""

import math
import warnings

import numpy as np

from ..backend import on_device
from ..errors import DataError, ShapeError
from ..options import Dtype
from ..wording import flag, number, setting
from .drawn import Drawn

# {(a model's option, its value that needs x in [0, 1]): the value for data of any range}
UNIT_RANGE = {
    ("likelihood", "bernoulli"): "gaussian",
    ("likelihood", "categorical"): "gaussian",
    ("loss", "bce"): "mse",
    ("loss", "ssim"): "mse",
    ("output", "sigmoid"): "linear",
}
BEYOND = 10
BYTES = {"dtype": "uint8", "low": 0.0, "high": 1.0}  # the result of `seen` for pixels


def as_array(value, name="x", advice="give plain numbers"):
    """Convert `value` to an array of numbers, row by row in its order.

    value: a list, tuple or range, a DataFrame or Series (by position; the index is ignored) or a tensor. An array, a
    `Drawn` and an array on a device are returned unchanged. Raises `DataError` for masked values, and with the `advice`
    for values that are not numbers.
    """
    if isinstance(value, Drawn) or on_device(value):
        return value
    if _is_masked(value):
        raise DataError(
            f"{name}: masked values would be taken for numbers: leave these examples out, or use .filled(value)"
        )
    given = type(value).__name__
    try:
        if hasattr(value, "to_numpy"):
            array = value.to_numpy()
            array = np.asarray(array.tolist()) if array.dtype == object else array  # columns of several dtypes
        elif hasattr(value, "detach"):
            array = np.asarray(value.detach().cpu())
        else:
            array = value if type(value) in (np.ndarray, np.memmap) else np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise DataError(f"{name} ({given}) is no array of numbers: {reason}: {advice}") from None
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} ({given}) is no array of numbers, but of dtype {array.dtype}: {advice}")
    return array


def _is_masked(value):
    items = value if isinstance(value, (list, tuple)) else (value,)
    return any(isinstance(item, np.ma.MaskedArray) and np.ma.is_masked(item) for item in items)


def as_points(value, name):
    """Convert `value` to points (N, D) in float64. Raises `ShapeError`, and `DataError` if a number is not finite."""
    points = np.asarray(as_array(value, name), np.float64)
    if points.ndim != 2:
        raise ShapeError(f"{name}: expected shape (N, D), got {points.shape}")
    bounds(points, name)
    return points


def to_float(x, dtype="float32"):
    """Convert examples to floats: uint8 0..255 becomes [0, 1], floats keep their values.

    Parameters
    ----------
    x : array of uint8 or floats, any shape
        On NumPy or CuPy.
    dtype : str, default "float32"
        The dtype of the result.

    Returns
    -------
    y : array of `dtype`, the shape of x

    Raises
    ------
    DataError
        If x has another dtype, because its scale is unknown.

    Example
    -------
    >>> to_float(np.array([[0, 255]], np.uint8)).tolist()
    [[0.0, 1.0]]
    """
    x, dtype = x if hasattr(x, "dtype") else as_array(x), Dtype().check("dtype", dtype)
    if x.dtype == "uint8":
        y = x.astype(dtype)
        y *= 1 / 255
        return y
    if x.dtype.kind != "f":
        raise DataError(f"to_float takes uint8 or floating-point arrays, not {x.dtype}: convert with .astype first")
    return x.astype(dtype, copy=False)


def as_rows(x, dtype):
    """Convert examples (N, ...), uint8 or floats, to finite rows (N, D) of `dtype`.

    Raises `DataError` and `ShapeError`.
    """
    x = as_array(x)
    check_some(x)
    bounds(x)
    return to_float(np.asarray(x).reshape(len(x), -1), dtype)


def check_dtype(x, who, integers=False):
    """Refuse x unless it holds uint8 or floats, or with `integers` (for maps of codes) integers of any kind."""
    if not (x.dtype.kind == "f" or x.dtype == "uint8" or integers and x.dtype.kind in "iu"):
        raise DataError(
            f"{who} takes uint8 or float examples, got {x.dtype}: give pixels from 0 to 255 as x.astype('uint8'), and "
            "other numbers as x.astype('float32')"
        )


def bounds(x, name="the data"):
    """Find the (least, largest) value of x; None for uint8, arrays on a device and empty arrays, which need no check.

    Raises `DataError` for NaN, infinity, and values beyond float32.
    """
    if not isinstance(x, np.ndarray) or x.dtype == "uint8" or not x.size:
        return None
    with np.errstate(invalid="ignore"):
        low, high = x.min(), x.max()  # these are NaN if x contains one
    if not (np.isfinite(low) and np.isfinite(high)):
        row = int(np.argwhere(~np.isfinite(np.atleast_1d(x)))[0][0])
        raise DataError(f"{name} have NaN or infinite values, the first in example {row}: remove or replace them")
    if max(-float(low), float(high)) > float(np.finfo(np.float32).max):
        raise DataError(f"{name} have values {_range(low, high)}, beyond float32: rescale them")
    return low, high


def check_some(x, who="x"):
    """Raise `ShapeError` if x is a single number or contains no examples."""
    if not x.shape or not x.shape[0]:
        raise ShapeError(f"{who}: no examples (x has shape {x.shape})")


def shaped(x, shape, who):
    """Reshape x to (N, *shape): x may also be flat rows (N, D), or images (N, H, W) if `shape` is (H, W, 1).

    Raises the error of `check_shape`.
    """
    if x.shape[1:] == tuple(shape):
        return x
    check_shape(x, shape, who)
    return x.reshape(x.shape[0], *shape)


def check_shape(x, shape, who):
    """Raise `ShapeError` unless `shaped` takes the shape of x; an equal count of numbers is not enough."""
    shape, given = tuple(shape), x.shape[1:]
    grey = len(shape) == 3 and (*given, 1) == shape
    if x.shape and (given in (shape, (math.prod(shape),)) or grey):
        return
    first = len(shape) == 3 and given == (shape[2], *shape[:2])
    hint = ": its channels come first, give x.transpose(0, 2, 3, 1)" if first else ""
    raise ShapeError(f"{who}: expected x of shape (N, {', '.join(map(str, shape))}), got {x.shape}{hint}")


def seen(x):
    """Summarise training data by their dtype and bounds, which a model stores; None if `bounds` checks nothing.

    Returns {"dtype": "uint8" or "float", "low": ..., "high": ...}, the bounds of the values as floats.
    """
    if x.dtype == "uint8":
        return BYTES
    found = bounds(x)
    return None if found is None else {"dtype": "float", "low": float(found[0]), "high": float(found[1])}


def admit(model, x, known, standardize=False):
    """Convert x as `like` does, and refuse values outside the range or the scale that `model` needs.

    known: the result of `seen` for the model's training data, or None.
    """
    x = like(model, x)
    if known is not None:
        check_scale(model, x, known)
    check_range(model, x, standardize)
    return x


def like(model, x):
    """Convert a user's x to a finite array of a shape and a dtype that `model` takes.

    Raises `DataError` and `ShapeError`.
    """
    x = as_array(x)
    if x.shape:
        check_some(x, model.name)
    check_shape(x, model.input_shape, model.name)
    bounds(x)
    model._inputs(x[:1])  # this checks the dtype, for which one example is enough
    return x


def check_scale(model, x, known):
    """Refuse values on another scale than the training data of `model`, described by `known`, the result of `seen`.

    Values of rows may exceed those in training. If they are more than BEYOND times as large, a RuntimeWarning is given.
    """
    in_unit = known["low"] >= 0 and known["high"] <= 1
    if x.dtype == "uint8" and not in_unit:
        raise DataError(
            f"{model.name} was trained on values {_range(known['low'], known['high'])}, and uint8 is scaled to "
            "[0, 1]: give floats on the scale of the training data"
        )
    # New rows of a table may exceed the training range; pixels may not.
    fixed = known["dtype"] == "uint8" or len(model.input_shape) == 3
    if in_unit and fixed and x.dtype.kind == "f" and not_in_unit(bounds(x)):
        raise DataError(
            f"x has values {_range(*bounds(x))}, and {model.name} was trained on values in [0, 1]: give pixels from 0 "
            "to 255 as x / 255 or as uint8"
        )
    largest = max(abs(known["low"]), abs(known["high"]))
    if not fixed and x.dtype.kind == "f" and (found := bounds(x)) and max(-found[0], found[1]) > BEYOND * largest:
        warnings.warn(
            f"x has values {_range(*found)}, and {model.name} was trained on values "
            f"{_range(known['low'], known['high'])}: if they are on another scale, rescale them to the training scale",
            RuntimeWarning,
            stacklevel=2,
        )


def check_range(model, x, standardize=False):
    """Refuse values outside the range that the model's loss, output or levels need; standardised columns leave it."""
    found = bounds(x)
    if model.input.integers and x.dtype.kind in "iu":
        return _check_codes(model, x)
    option, more = unit_range(model), ""
    if option is not None:
        name = model.config[option]
        why = f"{option}={name} needs [0, 1]: use {setting(option, UNIT_RANGE[option, name])}"
        more = f", best with {flag('standardize', True)}" if x.ndim == 2 else ", or rescale the data"
    elif model.input.bounded is not None:
        why = f"{model.input.bounded} needs [0, 1]: rescale the data"
    else:
        return
    if standardize or model.standardization is not None:
        raise DataError(f"standardised columns have values below 0 and above 1, but {why}")
    if not_in_unit(found):
        raise DataError(f"the data have values {_range(*found)}, but {why}{more}")


def unit_range(model):
    """The name of the model's option that makes its loss need values in [0, 1], or None."""
    return next((option for option, name in UNIT_RANGE if model.config.get(option) == name), None)


def _range(low, high):
    return f"from {number(low)} to {number(high)}"


def not_in_unit(found):
    """Whether bounds, the result of `bounds`, lie outside [0, 1]."""
    return found is not None and not (found[0] >= 0 and found[1] <= 1)


def _check_codes(model, x):
    """Refuse integers that are not codes in 0..levels-1, for a model of maps of codes."""
    if not isinstance(x, np.ndarray):
        return
    low, high = int(x.min()), int(x.max())
    if low < 0:
        raise DataError(f"the codes are {low} to {high}: codes are integers from 0 on")
    if high >= model.levels:
        raise DataError(
            f"the codes are {low} to {high}, and {model.name} has {model.levels} levels, 0 to {model.levels - 1}: "
            f"use {setting('levels', high + 1)}"
        )
