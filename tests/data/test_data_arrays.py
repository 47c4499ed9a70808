"""tinyae.data: what arrays must be like, the scale of to_float, the split for data without a test part."""

import numpy as np
import pytest
from data_errors import refused
from hypothesis import given
from hypothesis import strategies as st

from tinyae.data import Dataset, Split, to_float
from tinyae.data.arrays import MAX_CLASSES, check_examples, check_header, check_labels, holdout
from tinyae.errors import ConfigError, DataError


def test_to_float_scales_bytes_to_the_unit_interval():
    y = to_float(np.arange(256, dtype=np.uint8))
    assert y.dtype == np.float32
    assert y[0] == 0 and y[255] == 1
    np.testing.assert_allclose(y, np.arange(256) / 255, rtol=1e-6)


def test_to_float_leaves_its_argument_alone():
    x = np.full((2, 3), 7, np.uint8)
    x.flags.writeable = False
    to_float(x)
    assert (x == 7).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_to_float_keeps_the_values_of_floats(dtype):
    y = to_float(np.array([-2.5, 0, 3], dtype))
    assert y.dtype == np.float32
    assert y.tolist() == [-2.5, 0, 3]


@pytest.mark.parametrize("dtype", [np.int64, bool, np.complex64])
def test_to_float_refuses_dtypes_of_unknown_scale(dtype):
    refused(lambda: to_float(np.zeros(3, dtype)), "uint8", "astype")


def test_images_gain_a_channel_axis():
    assert check_examples(np.zeros((5, 4, 3), np.uint8), "a").shape == (5, 4, 3, 1)


def test_rows_stay_rows():
    assert check_examples(np.zeros((5, 4), np.uint8), "a").shape == (5, 4)


def test_bytes_are_not_copied():
    x = np.full((2, 3, 3, 1), 9, np.uint8)
    assert np.shares_memory(check_examples(x, "a"), x)


def test_booleans_become_black_and_white():
    x = check_examples(np.array([[True, False]]), "a")
    assert x.dtype == np.uint8 and x.tolist() == [[255, 0]]


@pytest.mark.parametrize("dtype", ["<i8", ">i2", "u4", "i1"])
def test_small_integers_become_bytes(dtype):
    x = check_examples(np.array([[0, 100]], dtype), "a")
    assert x.dtype == np.uint8 and x.tolist() == [[0, 100]]


@pytest.mark.parametrize("values", [[0, 256], [-1, 5]])
def test_integers_outside_the_range_of_pixels_are_refused(values):
    refused(lambda: check_examples(np.array([values]), "a.npy"), "a.npy", str(values[0]), str(values[1]), "0..255")


def test_integers_of_zero_and_one_alone_are_refused():
    refused(lambda: check_examples(np.array([[0, 1]], np.uint8), "a"), "multiply by 255")


@pytest.mark.parametrize("dtype", [np.float16, ">f4", np.float64])
def test_floats_become_native_float32(dtype):
    x = check_examples(np.array([[[0.25, 1]]], dtype), "a")
    assert x.dtype == np.float32 and x.dtype.isnative and x.ravel().tolist() == [0.25, 1]


def test_float_rows_may_have_any_scale():
    assert check_examples(np.array([[-1e6, 1e6]]), "a").tolist() == [[-1e6, 1e6]]


@pytest.mark.parametrize(("high", "advice"), [(255.0, "divide by 255"), (1.5, "divide by 255"), (1e4, "x.min()")])
def test_float_images_must_lie_in_the_unit_interval(high, advice):
    refused(lambda: check_examples(np.array([[[0.0, high]]]), "a"), "[0, 1]", f"{high:g}", advice)


def test_negative_float_images_are_told_to_rescale():
    refused(lambda: check_examples(np.array([[[-1.0, 1.0]]]), "a"), "from -1 to 1", "x.min()")


def test_values_beyond_float32_are_refused():
    refused(lambda: check_examples(np.array([[1e300]]), "a"), "float32")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_located(value):
    x = np.zeros((3, 4, 5), np.float32)
    x[1, 2, 3] = x[2, 0, 0] = value
    refused(lambda: check_examples(x, "a"), "has 2 NaN or infinite", "(1, 2, 3)")


@pytest.mark.parametrize("shape", [(), (4,), (2, 2, 2, 2, 2)])
def test_other_numbers_of_axes_are_refused(shape):
    refused(lambda: check_examples(np.zeros(shape, np.uint8), "a"), str(shape), "(N, H, W, C)")


@pytest.mark.parametrize("shape", [(0, 4, 4), (3, 0), (3, 4, 4, 0)])
def test_empty_arrays_are_refused(shape):
    refused(lambda: check_examples(np.zeros(shape, np.uint8), "a"), "holds no values")


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_first_is_recognised(channels):
    refused(lambda: check_examples(np.zeros((2, channels, 8, 8), np.uint8), "a"), "channels first", "transpose")


@pytest.mark.parametrize("dtype", [object, np.dtype([("a", object)])])
def test_objects_are_refused_by_the_header(dtype):
    refused(lambda: check_header(np.dtype(dtype), (3,), 1000, "a"), "objects", "unpickles")


@pytest.mark.parametrize("dtype", ["c8", "U3", "S3", "M8[s]", "V4", "i4,f4", "(2,)f4"])
def test_what_is_no_plain_number_is_refused_by_the_header(dtype):
    refused(lambda: check_header(np.dtype(dtype), (3,), 1000, "a"), "not plain numbers")


def test_a_shape_beyond_the_limit_is_refused_by_the_header():
    refused(lambda: check_header(np.dtype("f4"), (10**9, 10**9), 1000, "a"), "4,000,000,000,000,000,000", "1,000")


def test_a_negative_shape_is_refused_by_the_header():
    refused(lambda: check_header(np.dtype("f4"), (-1, 5), 1000, "a"), "negative")


def test_labels_become_int64():
    labels = check_labels(np.array([3, 0], np.uint8), 2, "a")
    assert labels.dtype == np.int64 and labels.tolist() == [3, 0]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros((2, 1), int), ("(2, 1)", "one integer per example")),
        (np.zeros(3, int), ("3 labels for 2 examples",)),
        (np.zeros(2), ("float64", "integers")),
        (np.array([-1, 0]), ("-1", "count classes from 0")),
        (np.array([0, MAX_CLASSES]), (str(MAX_CLASSES), "outside")),
        (np.array([0, 2**64 - 1], np.uint64), ("18446744073709551615", "outside")),
    ],
)
def test_wrong_labels_are_refused(labels, words):
    refused(lambda: check_labels(labels, 2, "a"), *words)


def test_labels_beyond_the_known_classes_are_refused():
    refused(lambda: check_labels(np.array([0, 10]), 2, "a", classes=10), "outside 0..9")


@given(st.integers(10, 300))
def test_holdout_keeps_a_tenth_for_the_test_part(count):
    x = np.arange(count)[:, None]
    train, test = holdout(x, x[:, 0])
    assert len(test) == count // 10
    assert sorted([*train.x[:, 0], *test.x[:, 0]]) == list(range(count))


@given(st.integers(10, 300))
def test_holdout_keeps_order_and_labels(count):
    x = np.arange(count)[:, None]
    for part in holdout(x, x[:, 0]):
        assert (np.diff(part.labels) > 0).all()
        assert (part.labels == part.x[:, 0]).all()


def test_holdout_never_changes():
    _, test = holdout(np.arange(50)[:, None])
    assert test.x[:, 0].tolist() == [0, 2, 21, 38, 43]


def test_holdout_spreads_over_labels_that_repeat_in_turn():
    labels = np.arange(1000) % 10
    _, test = holdout(labels[:, None], labels)
    assert len(np.unique(test.labels)) == 10


def test_holdout_leaves_fewer_than_ten_examples_whole():
    train, test = holdout(np.zeros((9, 2)))
    assert len(train) == 9 and test is None


def test_dataset_counts_classes_by_names_then_by_labels():
    labelled = Split(np.zeros((2, 3)), np.array([0, 4]))
    assert Dataset("a", labelled).class_count == 5
    assert Dataset("a", labelled, class_names=tuple("tuvwxyz")).class_count == 7
    assert Dataset("a", Split(np.zeros((2, 3))), labelled).class_count == 5
    assert Dataset("a", Split(np.zeros((2, 3)))).class_count is None


def test_dataset_finds_a_class_by_name_then_by_number():
    split, five = (Split(np.zeros((2, 3)), np.array([0, label])) for label in (2, 4))
    named, numbered = Dataset("a", split, class_names=("cat", "bird", "dog")), Dataset("a", five)
    assert [named.find_class(text) for text in ("cat", "1", "2")] == [0, 1, 2]
    assert numbered.find_class("4") == 4
    by_numbers = Dataset("a", split, class_names=("2", "cat", "7"))
    assert [by_numbers.find_class(text) for text in ("2", "cat", "7")] == [0, 1, 2]
    for text in ("0", "1", "9" * 5000):  # a number is a name where any name is one
        with pytest.raises(ConfigError, match="unknown class of a '"):
            by_numbers.find_class(text)
    with pytest.raises(ConfigError, match="unknown class of a 'dgo': did you mean 'dog'"):
        named.find_class("dgo")
    for text in ("5", "-1", "cat"):
        with pytest.raises(ConfigError, match=f"unknown class of a '{text}'"):
            numbered.find_class(text)
    many = Dataset("a", split, class_names=tuple(f"class{i}" for i in range(1000)))
    with pytest.raises(ConfigError, match="class48, class49, and 950 more$"):
        many.find_class("none")
    with pytest.raises(DataError, match="a has no labels, so no class cat"):
        Dataset("a", Split(np.zeros((2, 3)))).find_class("cat")


def test_labels_without_a_name_are_refused():
    names, split = ("x", "y"), Split(np.zeros((2, 3)), np.array([0, 2]))
    for parts in ((split,), (split.x, split), (split.x, None)):
        refused(lambda parts=parts: Dataset("a", *parts, class_names=names, validation=split), "a: class_names has 2",
                "split has labels up to 2: give a name for each class")  # fmt: skip
    assert Dataset("a", Split(split.x, np.array([-1, 1])), class_names=names).class_count == 2  # -1: not known


@pytest.mark.parametrize("names", ["feature_names", "factor_names"])
def test_other_numbers_of_names_than_columns_are_refused(names):
    split = Split(np.zeros((2, 3)), factors=np.zeros((2, 3), int))
    assert getattr(Dataset("a", split, **{names: list("xyz")}), names) == ("x", "y", "z")
    refused(lambda: Dataset("a", split, **{names: ("x", "y")}), f"a: {names} has 2 names for the 3 columns in the")


@pytest.mark.parametrize(
    "factors", [np.zeros((3, 2), int), np.zeros((2, 1)), [0, 1], [[True], [False]], np.zeros((2, 0), int), 3]
)
def test_factors_that_are_no_rows_of_integers_are_refused(factors):
    refused(lambda: Split(np.zeros((2, 4)), factors=factors), "the split: has factors", "give integers (N, K)")
    assert Split(np.zeros((2, 4)), factors=[[0, 1], [2, 3]]).factors.tolist() == [[0, 1], [2, 3]]


def test_dataset_shape_is_that_of_one_example():
    assert Dataset("a", Split(np.zeros((2, 4, 5, 3)))).shape == (4, 5, 3)
