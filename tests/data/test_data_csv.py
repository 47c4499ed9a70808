"""tinyae.data: tables as text."""

import gzip

import numpy as np
import pytest
from data_errors import refused

from tinyae.data import load


def test_numbers_alone(write):
    data = load(write("1,2.5,-3e2\n4,5,6\n"))
    assert data.name == "table" and data.test is None and data.train.labels is None
    assert data.train.x.dtype == np.float32
    np.testing.assert_array_equal(data.train.x, [[1, 2.5, -300], [4, 5, 6]])


@pytest.mark.parametrize("name", ("label", " Labels"))
def test_a_line_of_names_and_a_column_of_labels(write, name):
    data = load(write(f'height,"{name}",width\r\n0.5,2,1\r\n0.25,0,7\r\n'))
    np.testing.assert_array_equal(data.train.x, [[0.5, 1], [0.25, 7]])
    np.testing.assert_array_equal(data.train.labels, [2, 0])
    assert data.train.labels.dtype == np.int64 and data.class_count == 3


def test_a_tenth_becomes_the_test_part(write):
    data = load(write("".join(f"{i},{i * i}\n" for i in range(40))))
    assert len(data.train) == 36 and len(data.test) == 4


def test_marks_of_other_programs_are_read_over(write):
    """A byte order mark, spaces, blank lines, no line end after the last row; and a gzip inside."""
    text = "\ufeffa, b\n1, 2\n\n3 ,4"
    packed = gzip.compress(text.encode())
    for content, name in ((text.encode(), "table.csv"), (packed, "table.csv"), (packed, "table.csv.gz")):
        data = load(write(content, name))
        np.testing.assert_array_equal(data.train.x, [[1, 2], [3, 4]])
        assert data.name == "table"


def test_integers_are_values_not_pixels(write):
    """A .npy of integers holds pixels; a table's numbers have no type, so they are what they say."""
    np.testing.assert_array_equal(load(write("0,1000\n1,-7\n")).train.x, [[0, 1000], [1, -7]])


@pytest.mark.parametrize(
    "text, words",
    [
        ("", ["holds no rows of numbers"]),
        ("a,b\n", ["holds no rows of numbers"]),
        ("a,b\n1,2\n3,x\n", ["line 3, column 2 holds 'x', not a number"]),
        ("1,2\n3,\n", ["line 2, column 2 is empty"]),
        ("1,2\n3\n", ["line 2 has 1 value where the first has 2"]),
        ("1;2\n3;4\n", ["line 2, column 1 holds '3;4', not a number"]),
        ("1,2\nnan,3\n", ["has 1 NaN or infinite values, the first at index (1, 0)"]),
        ("1,1e39\n", ["beyond float32"]),
        ("label\n1\n", ["holds no values"]),
        ("label,a\n-1,2\n", ["labels from -1 to -1"]),
        ("label,a\n0.5,2\n", ["labels of dtype float64"]),
        ("label,labels,a\n0,1,2\n", ["more than one column of labels"]),
        (b"a,b\n\xff\xfe,1\n", ["cannot be read as a .csv file"]),
        ("label,a\ninf,2\n", ["labels of dtype float64"]),
        ('a,b\n"1,2\n', ["line 2 has 1 value where the first has 2"]),
    ],
)
def test_what_is_no_table_is_refused(write, text, words):
    path = write(text)
    refused(lambda: load(path), "table.csv", *words)


def test_a_missing_file_and_a_size_are_refused(write, tmp_path):
    refused(lambda: load(tmp_path / "none.csv"), "no such file")
    path = write("1,2\n")
    refused(lambda: load(path, size=28), "takes no size")
