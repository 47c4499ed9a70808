"""tinyae.data: dSprites drawn by formula, and what stands for an array where examples are drawn when asked for."""

import numpy as np
import pytest
from data_errors import peak_of, refused
from hypothesis import given
from hypothesis import strategies as st

import tinyae
from tinyae.backend import Backend
from tinyae.data import dsprites
from tinyae.data.drawn import Drawn
from tinyae.training.feed import Feed
from tinyae.training.prepared import as_split, fingerprint, hold_out

NUMBERS = np.arange(0, dsprites.COUNT, 4_099)  # spread over all, prime to the sizes of the factors


def oracle(shape, scale, rotation, x, y):
    """One image, pixel by pixel: the shape's own equation at the pixel's centre, turned back and shrunk."""
    scale, angle = 0.5 + 0.1 * scale, rotation * 2 * np.pi / 39
    image = np.zeros((64, 64), np.uint8)
    for row in range(64):
        for column in range(64):
            right, down = column - (16 + x) - dsprites.CENTRE[0], row - (16 + y) - dsprites.CENTRE[1]
            turned = (right + 1j * down) * np.exp(-1j * angle) / scale
            u, v = turned.real, turned.imag
            a, b = u / dsprites.HEART, 0.25 - v / dsprites.HEART
            inside = (
                abs(u) <= dsprites.SQUARE and abs(v) <= dsprites.SQUARE,
                np.hypot(u / dsprites.ELLIPSE[0], v / dsprites.ELLIPSE[1]) <= 1,
                (a * a + b * b - 1) ** 3 <= a * a * b**3,
            )
            image[row, column] = 255 * inside[shape]
    return image[..., None]


@pytest.mark.parametrize("factors", [(0, 0, 0, 0, 0), (1, 5, 7, 31, 3), (2, 3, 11, 16, 31), (0, 4, 38, 30, 31)])
def test_images_are_those_of_the_formula(factors):
    assert (dsprites.draw(np.array([factors]))[0] == oracle(*factors)).all()


def test_there_are_as_many_as_in_the_original():
    assert dsprites.COUNT == 737_280 and dsprites.images().shape == (737_280, 64, 64, 1)


@given(st.integers(0, dsprites.COUNT - 1))
def test_numbers_and_factors_are_each_others_inverse(number):
    assert dsprites.numbers(dsprites.factors(np.array([number]))) == [number]


@pytest.mark.parametrize(
    ("number", "factors"),
    [
        (1, [0, 0, 0, 0, 1]), (32, [0, 0, 0, 1, 0]), (1024, [0, 0, 1, 0, 0]), (40_960, [0, 1, 0, 0, 0]),
        (245_760, [1, 0, 0, 0, 0]), (737_279, [2, 5, 39, 31, 31]),
    ],
)  # fmt: skip
def test_the_order_is_the_originals(number, factors):
    """y varies fastest, and a step of any factor changes the number as in the original's own example."""
    assert dsprites.factors(np.array([number])).tolist() == [factors]


def test_the_values_are_the_originals():
    last = dsprites.values(np.array([[2, 5, 39, 31, 31], [1, 1, 1, 1, 0]]))
    np.testing.assert_allclose(last, [[2, 1, 2 * np.pi, 1, 1], [1, 0.6, 2 * np.pi / 39, 1 / 31, 0]])


def test_images_are_black_and_white_and_whole():
    x = dsprites.images()[NUMBERS]
    assert x.shape == (len(NUMBERS), 64, 64, 1) and x.dtype == np.uint8 and set(np.unique(x)) == {0, 255}
    area = (x > 0).sum(axis=(1, 2, 3))
    shape, scale, rotation = dsprites.factors(NUMBERS)[:, :3].T
    assert (area == (dsprites.masks()[shape, scale, rotation] > 0).sum(axis=(1, 2))).all()


def test_no_shape_touches_the_edge_of_its_mask():
    masks = dsprites.masks()
    assert not any(edge.any() for edge in (masks[..., 0, :], masks[..., -1, :], masks[..., 0], masks[..., -1]))


def test_shapes_differ_but_for_a_whole_turn():
    """As in the original: 0 and 2 pi are both among the rotations. All other steps change pixels."""
    masks = dsprites.masks()
    assert (masks[:, :, 0] == masks[:, :, 39]).all()
    assert len(np.unique(masks[:, :, :39].reshape(3 * 6 * 39, -1), axis=0)) == 3 * 6 * 39


def test_a_larger_scale_is_larger():
    areas = (dsprites.masks() > 0).sum(axis=(-1, -2))
    assert (np.diff(areas, axis=1) > 0).all()


def test_x_moves_right_and_y_down():
    at = np.array([[2, 4, 5, 0, 0], [2, 4, 5, 31, 0], [2, 4, 5, 0, 31]])
    first, right, down = dsprites.draw(at)
    assert (np.roll(first, 31, axis=1) == right).all() and (np.roll(first, 31, axis=0) == down).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: dsprites.factors(np.array([dsprites.COUNT])), ("737,279",)),
        (lambda: dsprites.factors(np.array([-1])), ("from 0",)),
        (lambda: dsprites.factors(np.array([0.5])), ("numbered",)),
        (lambda: dsprites.draw(np.array([[0, 0, 40, 0, 0]])), ("rotation", "0 to 39")),
        (lambda: dsprites.draw(np.array([[0, -1, 0, 0, 0]])), ("scale", "0 to 5")),
        (lambda: dsprites.draw(np.zeros((2, 6), int)), ("(N, 5)", "(2, 6)")),
        (lambda: dsprites.numbers(np.zeros((2, 5))), ("integers",)),
    ],
)
def test_what_is_no_image_is_refused(call, words):
    refused(call, *words)


def test_memory_is_that_of_what_is_drawn():
    """Numbers, labels and factors of all images and 10,000 test images; never the 2.8 GiB of all images."""
    assert peak_of(lambda: tinyae.data.load("dsprites")) < 200 * 2**20
    x = dsprites.images()
    assert peak_of(lambda: x[:1000]) < 10 * 2**20


def test_the_data_set():
    data = tinyae.data.load("dsprites")
    assert data.shape == (64, 64, 1) and data.class_names == ("square", "ellipse", "heart")
    assert isinstance(data.train.x, Drawn) and isinstance(data.test.x, np.ndarray)
    assert data.origin == {"data": "dsprites", "size": None}
    numbers = [dsprites.numbers(part.factors) for part in (data.train, data.test)]
    assert np.array_equal(np.sort(np.concatenate(numbers)), np.arange(dsprites.COUNT))
    for part in (data.train, data.test):
        assert (part.labels == part.factors[:, 0]).all() and len(part) == len(part.x)
        rows = np.array([5, 3, len(part) - 1])
        assert (part.x[rows] == dsprites.draw(part.factors[rows])).all()
    # any stretch of the test part is a fair sample
    assert np.bincount(data.test.labels[:600]).min() > 150


# Drawn, in the place of an array


def counted(rows=None):
    """A set of 50 rows of 3 bytes: the number of the example, thrice."""
    rows = np.arange(50) if rows is None else rows
    return Drawn(lambda numbers: np.repeat(numbers[:, None], 3, axis=1).astype(np.uint8), rows, (3,))


def test_it_is_indexed_like_an_array():
    x, array = counted(), np.repeat(np.arange(50, dtype=np.uint8)[:, None], 3, axis=1)
    assert (len(x), x.shape, x.ndim, x.dtype) == (len(array), array.shape, array.ndim, array.dtype)
    for rows in (slice(3, 9), slice(-2, None), slice(5, 5), np.array([4, 4, 0]), [7, 2], 11, -1):
        drawn = x[rows]
        assert drawn.shape == array[rows].shape and (drawn == array[rows]).all()
    assert (x.select(slice(10, 20)).select([3, 1])[:] == array[[13, 11]]).all()


def test_an_index_beyond_the_end_is_an_error():
    with pytest.raises(IndexError):
        counted()[50]


@pytest.mark.parametrize("whole", [np.asarray, np.mean, tinyae.data.to_float])
def test_it_never_becomes_an_array_unasked(whole):
    refused(lambda: whole(counted()), "50 examples", "x[:1000]")


def test_a_part_held_out_is_not_drawn():
    (train, labels), (rest, _) = hold_out(counted(), np.arange(50), 0.2, seed=1)
    assert isinstance(train, Drawn) and (len(train), len(rest)) == (40, 10)
    assert (train[:][:, 0] == labels).all()
    assert sorted([*train[:][:, 0], *rest[:][:, 0]]) == list(range(50))


def test_fingerprints_tell_parts_apart():
    prints = {fingerprint(counted(rows)) for rows in (None, np.arange(50)[::-1], np.arange(1, 51))}
    assert len(prints) == 3 and fingerprint(counted()) == fingerprint(counted())


@pytest.mark.parametrize("labels", [None, np.arange(50)])
def test_batches_are_those_of_the_array(device, labels):
    """Batches come in the same order as from an array, and they are on the model's device."""
    backend = Backend(device.backend)
    drawn, whole = (Feed(x, labels, backend, 16, 3) for x in (as_split(counted())[0], counted()[:]))
    for one, other, sizes in (
        (drawn.epoch(1, 2), whole.epoch(1, 2), [16, 2]),
        (drawn.in_order(20), whole.in_order(20), [20, 20, 10]),
    ):
        for a, b, size in zip(one, other, sizes, strict=True):
            assert a.keys() == b.keys() and len(a["x"]) == size
            for name in a:
                assert type(a[name]) is type(b[name])
                assert (backend.to_host(a[name]) == backend.to_host(b[name])).all()


def test_a_run_on_drawn_examples_is_resumed_bit_for_bit(tmp_path):
    def model():
        return tinyae.models.VAE(input_shape=(3,), latent_dim=2, hidden=(4,), seed=1)

    options = dict(batch_size=16, progress=False, validation=0.2)
    whole, parts = model(), model()
    tinyae.fit(whole, counted(), epochs=3, **options)
    tinyae.fit(parts, counted(), epochs=1, out=tmp_path, **options)
    tinyae.fit(parts, counted(), epochs=3, out=tmp_path, resume=True, **options)
    assert (parts.store.flat == whole.store.flat).all()
    with pytest.raises(tinyae.errors.ConfigError, match="data"):
        tinyae.fit(parts, counted(np.arange(50)[::-1]), epochs=3, out=tmp_path, resume=True, **options)
