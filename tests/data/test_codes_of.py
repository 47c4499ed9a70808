"""The codes that a VQ-VAE gives a data set, as a data set."""

import numpy as np
import pytest

import tinyae
from tinyae import models
from tinyae.data.encoded import checksum, codes_of
from tinyae.data.examples import check_range
from tinyae.errors import DataError
from tinyae.training.prepared import as_split

DIGITS = tinyae.data.load("digits")


@pytest.mark.parametrize("count, dtype", [(2, "uint8"), (256, "uint8"), (257, "uint16")])
def test_codes_have_the_least_dtype_that_holds_them(count, dtype):
    codec = models.VQVAE(input_shape=(8, 8, 1), codes=count)
    codes = codes_of(DIGITS, codec)
    assert codes.train.x.dtype == dtype
    np.testing.assert_array_equal(codes.train.x, codec.encode(DIGITS.train.x))
    np.testing.assert_array_equal(codes.test.x, codec.encode(DIGITS.test.x))


def test_codes_keep_labels_classes_and_where_they_come_from():
    codec = models.VQVAE(input_shape=(8, 8, 1), codes=4)
    codes = codes_of(DIGITS, codec)
    np.testing.assert_array_equal(codes.train.labels, DIGITS.train.labels)
    assert codes.class_count == 10 and codes.name == "codes of digits"
    assert codes.origin.pop("codec") == checksum(codec.store.flat, codec.state.flat)
    assert codes.origin == {"data": "digits", "size": None, "codes": True} and "codes" not in DIGITS.origin


def test_codes_of_one_place_stand_beside_each_other():
    codec = models.VQVAE(input_shape=(8, 8, 1), codes=5, latent_dim=4, codebooks=2)
    own, flat = codec.encode(DIGITS.test.x), codes_of(DIGITS, codec).test.x
    assert own.shape[1:] == (2, 2, 2) and flat.shape[1:] == (2, 4)
    for book in range(2):
        np.testing.assert_array_equal(flat[:, :, book::2], own[..., book])
    model = models.PixelCNN(input_shape=(2, 4), levels=5, width=4, blocks=1)
    model.codec = codec
    np.testing.assert_array_equal(model.images(flat), codec.decode(own))


def test_only_a_model_of_codes_is_trained_on_integers():
    codes = np.arange(12).reshape(3, 2, 2)
    with pytest.raises(DataError, match="training takes uint8 or float examples, got int64"):
        as_split(codes)
    assert as_split(codes, integers=True)[0] is codes
    model = models.PixelCNN(input_shape=(2, 2), levels=12, width=4, blocks=1)
    check_range(model, codes)
    with pytest.raises(DataError, match="the codes are 1 to 12, and pixelcnn has 12 levels, 0 to 11: use levels=13"):
        check_range(model, codes + 1)
    with pytest.raises(DataError, match="the codes are -1 to 10: codes are integers from 0 on"):
        check_range(model, codes - 1)
