"""Labels and codes as indices: one that is none is refused, or makes NaN where a look at it would wait."""

import numpy as np
import pytest

from tinyae.backend import indices
from tinyae.errors import DataError, ShapeError
from tinyae.latent import quantize
from tinyae.layers import Embedding
from tinyae.models import CVAE, PixelCNN

TABLE = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
WRONG = [(-1, 0), (0, 3), (-3, 2), (2**40, 0)]
each_wrong = pytest.mark.parametrize("wrong", WRONG, ids=str)
READERS = {
    "rows": lambda table, index: indices.rows(table, index, "rows"),
    "one_hot": lambda table, index: indices.one_hot(index, len(table), table.dtype, "one_hot"),
    "lookup": quantize.lookup,
    "Embedding": lambda table, index: Embedding(3, 2).forward({"weight": table}, index)[0],
}
each_reader = pytest.mark.parametrize("name", READERS)


@each_wrong
@each_reader
def test_index_outside_is_refused(name, wrong):
    found = f"{min(wrong)} to {max(wrong)}"
    with pytest.raises(DataError, match=f"^{name}.*: expected integers from 0 to 2, got {found}$"):
        READERS[name](TABLE, np.array(wrong))


@each_wrong
@each_reader
def test_index_outside_is_nan_on_a_device(name, wrong, strict_device):
    read = READERS[name](strict_device.array(TABLE), strict_device.array(np.array(wrong)))
    assert strict_device.xp.host_syncs == 0
    outside = [not 0 <= index < 3 for index in wrong]
    np.testing.assert_array_equal(np.isnan(strict_device.host(read)).all(axis=1), outside)


@each_reader
@pytest.mark.parametrize("index", (np.array([0.0, 1.0]), np.array([True, False])), ids=("floats", "booleans"))
def test_index_of_another_kind_is_refused(name, index):
    with pytest.raises(ShapeError, match=f"^{name}.*: expected integers, got {index.dtype}"):
        READERS[name](TABLE, index)


@pytest.mark.parametrize("kind", ("uint8", "int8", "int64", "uint64"))
@pytest.mark.parametrize("shape", ((0,), (2,), (2, 2)))
def test_index_inside_is_read(kind, shape, device):
    index = np.resize([2, 0, 1], shape).astype(kind)
    on_device = device.array(index)
    np.testing.assert_array_equal(device.host(indices.rows(device.array(TABLE), on_device, "rows")), TABLE[index])
    np.testing.assert_array_equal(device.host(indices.one_hot(on_device, 3, "float32", "")), np.eye(3)[index])


def test_one_hot_of_no_known_class_is_zeros_where_that_may_be(device):
    ones = indices.one_hot(device.array(np.array([-1, 1])), 2, "float64", "labels", least=-1)
    np.testing.assert_array_equal(device.host(ones), [[0, 0], [0, 1]])


def test_embedding_of_an_index_outside_has_no_gradient_on_a_device(strict_device):
    layer, x = Embedding(3, 2), strict_device.array(np.array([-1, 0, 3]))
    params = {"weight": strict_device.array(TABLE)}
    grads = {"weight": strict_device.array(np.zeros_like(TABLE), writeable=True)}
    layer.backward(params, layer.forward(params, x)[1], strict_device.array(np.ones((3, 2))), grads)
    np.testing.assert_array_equal(strict_device.host(grads["weight"]), [[1, 1], [0, 0], [0, 0]])


@pytest.mark.parametrize("code", (-1, 3))
@pytest.mark.parametrize("network", ("residual", "gated"))
def test_codes_that_a_pixelcnn_does_not_have_are_refused(network, code):
    model = PixelCNN(input_shape=(3, 3), levels=3, width=4, blocks=1, network=network)
    codes = np.zeros((1, 3, 3), np.int64)
    codes[0, 1, 1] = code
    with pytest.raises(DataError, match="expected integers from 0 to 2"):
        model.apply("input", codes)


@pytest.mark.parametrize("label", (-1, 2))
def test_labels_that_a_model_does_not_have_are_refused(label):
    model = CVAE(input_shape=(2, 2, 1), latent_dim=2, classes=2, hidden=3)
    with pytest.raises(DataError, match="^cvae: expected integers from 0 to 1"):
        model.one_hot(np.array([0, label]))
