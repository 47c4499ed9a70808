"""`tinyae gradcheck all` notices wrong gradients that only some options, sizes or ways to compute reach."""

import ctypes

import numpy as np
import pytest

from tinyae.backend import native
from tinyae.backend.convolution import Geometry, geometry, patches, winograd
from tinyae.backend.native import build
from tinyae.gradcheck import OPERATIONS, check_by_name
from tinyae.layers import BatchNorm, Dropout
from tinyae.models.context import Network


def failed(name):
    """The names of the cases that fail."""
    return [report.name for report in check_by_name(name) if not report.passed]


# In NumPy, by other code in the place of the right one


def dilation_is_lost_where_there_is_a_stride(length, kernel, of, axis):
    for phase in geometry.input_phases(length, kernel, of, axis):
        phase.dilation = of.dilation[axis]
        yield phase


def weight_gradient_of_the_last_chunk(x, dy, of, kernel):
    each = np.prod(dy.shape[1:3]) * np.prod(kernel) * (x.shape[3] // of.groups)
    last = patches.chunks(np, len(x), int(each))[-1]
    return RIGHT(x[last], dy[last], of, kernel)


RIGHT = patches.weight_gradient


def scale_gradient_without_the_running_mean(self, params, cache, dy, grads=None):
    x, mean, var, inverse, train = cache
    return BATCH_NORM(self, params, (x, mean if train else 0 * mean, var, inverse, train), dy, grads)


BATCH_NORM = BatchNorm.backward


def vq_without_the_variance(network, cache, dy):
    variance = network.net.scale.state["variance"] if network.name == "decoder" else 1
    network.net.check_version()
    return network.layer.backward(network.params, cache, variance * dy, network.grads)


def dropout_without_its_rescaling_in_training(self, params, cache, dy, grads=None):
    return dy if cache is None else dy * (cache > 0)


@pytest.mark.parametrize(
    "where, attribute, wrong, name, case",
    [
        (patches, "input_phases", dilation_is_lost_where_there_is_a_stride, "Conv2D", "dilation=(2, 2)"),
        (patches, "weight_gradient", weight_gradient_of_the_last_chunk, "Conv2D", "Conv2D(4, (9, 9))"),
        (BatchNorm, "backward", scale_gradient_without_the_running_mean, "BatchNorm", "BatchNorm("),
        (Network, "backward", vq_without_the_variance, "vq-vae", "VQVAE("),
        (Dropout, "backward", dropout_without_its_rescaling_in_training, "Dropout", "rate=0.4"),
    ],
    ids=lambda value: value.__name__ if hasattr(value, "__name__") else value,
)
def test_a_wrong_gradient_in_numpy_is_caught(monkeypatch, where, attribute, wrong, name, case):
    monkeypatch.setattr(where, attribute, wrong)
    assert any(case in report.name and not report.passed for report in check_by_name(name))


def test_a_wrong_sign_in_the_fast_algorithm_of_numpy_is_caught(monkeypatch):
    right, signs = winograd.weight_gradient, np.array([1, -1, 1], "f4").reshape(3, 1, 1, 1)
    monkeypatch.setattr(winograd, "weight_gradient", lambda *given: right(*given) * signs)
    (report,) = check_by_name("operations.convolution_weight_gradient")
    assert report.wrong == [f"dw (NumPy, {case})" for case in ("fast", "fast, uneven")]


# In the compiled library, by functions around its own


class Library:
    """The compiled library, one of whose functions is `wrong(right, *arguments)`."""

    def __init__(self, library, name, wrong):
        self.library, self.name, self.wrong = library, name, wrong

    def __getattr__(self, name):
        right = getattr(self.library, name)
        return (lambda *arguments: self.wrong(right, *arguments)) if name == self.name else right


def numbers(address, count=1, kind=ctypes.c_float):
    """The array that a pointer argument points to."""
    return np.ctypeslib.as_array((kind * int(count)).from_address(address))


def zero_counts_as_positive(right, y, dy, count, dx, threads):
    right(y, dy, count, dx, threads)
    zero = numbers(y, count) == 0
    numbers(dx, count)[zero] = numbers(dy, count)[zero]


def all_of_equals_get_the_gradient(right, pool, x, y, dy, count, left, dx, threads):
    height, width, channels, rows, columns, *size, stride_y, stride_x, top, left_side = pool
    shape, results = (count, height, width, channels), (count, rows, columns, channels)
    x, dx = (numbers(array, np.prod(shape)).reshape(shape) for array in (x, dx))
    y, dy = (numbers(array, np.prod(results)).reshape(results) for array in (y, dy))
    of = Geometry((stride_y, stride_x), ((top, 0), (left_side, 0)))
    for y_at, x_at in geometry.taps((height, width), (rows, columns), size, of):
        dx[x_at] += dy[y_at] * (x[x_at] == y[y_at])


def the_last_chunk_alone(right, dw, window, filters, images, chunk, x, border, *others):
    workspaces, *inside, dy, rows, columns, swapped, threads = others
    last = images % chunk or chunk
    x += 4 * (images - last) * border._obj.height * border._obj.row
    dy += 4 * (images - last) * rows * columns * filters
    right(dw, window, filters, last, chunk, x, border, workspaces, *inside, dy, rows, columns, swapped, threads)


def another_sign_in_the_fast_algorithm(right, fast, g, *others):
    right(fast, g, *others)
    size = fast._obj.taps * fast._obj.channels * fast._obj.filters
    numbers(g, 4 * size)[2 * size : 3 * size] *= -1


@pytest.mark.parametrize(
    "function, wrong, name, case",
    [
        ("relu_gradient", zero_counts_as_positive, "operations.relu", "dx (compiled, zeros among them)"),
        ("max_pool_gradient", all_of_equals_get_the_gradient, "operations.max_pool", "dx (compiled, ties, "),
        ("accumulate", the_last_chunk_alone, "operations.convolution_weight_gradient", "dw (compiled, chunks"),
        (
            "accumulate_fast", another_sign_in_the_fast_algorithm, "operations.convolution_weight_gradient",
            "dw (compiled, fast",
        ),  # fmt: skip
    ],
    ids=lambda value: value.__name__ if hasattr(value, "__name__") else value,
)
def test_a_wrong_gradient_of_the_library_is_caught(library, monkeypatch, function, wrong, name, case):
    monkeypatch.setattr(native, "_answer", (Library(library, function, wrong), "planted"))
    (report,) = check_by_name(name)
    assert report.wrong and all(place.startswith(case) for place in report.wrong if "compiled" in case), report.wrong
    assert "compiled" in report.where and "NumPy" not in "".join(report.wrong)


# Which argument of a function of the library is what it writes to; the operation that calls it.
WRITTEN = {
    "pack": (4, "operations.convolution"), "correlate": (9, "operations.convolution_input_gradient"),
    "product": (6, "operations.affine"), "product_transposed": (6, "operations.product_transposed"),
    "product_first": (5, "operations.add_product"),
    "accumulate": (0, "operations.convolution_weight_gradient"), "correlate_fast": (7, "operations.convolution"),
    "accumulate_fast": (1, "operations.convolution_weight_gradient"),
    "bce_with_logits": (5, "operations.bce_with_logits"),
    "adam": (0, "operations.adam"), "relu": (2, "operations.relu"), "relu_gradient": (3, "operations.relu"),
    "add_rows": (4, "operations.add_rows"), "add_squared_rows": (5, "operations.batch_norm"),
    "add_product_rows": (6, "operations.batch_norm_backward"),
    "standardise": (6, "operations.batch_norm"), "combine": (8, "operations.batch_norm_backward"),
    "max_pool": (3, "operations.max_pool"), "max_pool_gradient": (6, "operations.max_pool"),
    "nearest_code": (8, "operations.nearest_code"), "code_sums": (6, "operations.nearest_code"),
}  # fmt: skip
WITHOUT_RESULTS = {"packed_size", "forget_threads"}


def test_every_function_of_the_library_is_known_here():
    assert WRITTEN.keys() | WITHOUT_RESULTS == build.FUNCTIONS.keys()
    assert {name for _, name in WRITTEN.values()} == set(OPERATIONS)


@pytest.mark.parametrize("function", WRITTEN)
def test_one_wrong_number_of_the_library_is_caught(library, monkeypatch, function):
    place, name = WRITTEN[function]

    def wrong(right, *arguments):
        right(*arguments)
        numbers(arguments[place], kind=ctypes.c_long if function == "nearest_code" else ctypes.c_float)[0] += 1

    monkeypatch.setattr(native, "_answer", (Library(library, function, wrong), "planted"))
    assert failed(name) == [name]


def test_a_result_that_sums_nothing_up_is_held_to_a_few_roundings(library, monkeypatch):
    def wrong(right, logits, x, count, scale, sums, dlogits, threads):
        right(logits, x, count, scale, sums, dlogits, threads)
        numbers(dlogits, count)[:] *= np.float32(1 + 1e-5)

    monkeypatch.setattr(native, "_answer", (Library(library, "bce_with_logits", wrong), "planted"))
    (report,) = check_by_name("operations.bce_with_logits")
    assert report.wrong == [f"dlogits (compiled, {count} numbers)" for count in (1, 3000)]


def test_no_library_leaves_numpy_to_check(monkeypatch):
    monkeypatch.setattr(native, "_answer", (None, "none"))
    (report,) = check_by_name("operations.relu")
    assert report.passed and [name for name in report.arrays if "compiled" in name] == []
