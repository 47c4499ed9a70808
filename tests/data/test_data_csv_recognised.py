"""tinyae.data: what is recognised in a .csv (names, row numbers, labels, separators, missing values) and said."""

import gzip

import numpy as np
import pytest
from data_errors import peak_of, refused

from tinyae.cli import main
from tinyae.data import load
from tinyae.errors import ConfigError

X = np.array([[0.5, 1.25, -3.0], [7.0, 2.5, 0.25]])
NUMERIC = " (header=False reads it as a row of values)"


def check(data, x, labels=None, class_names=None, names=None):
    np.testing.assert_array_equal(data.train.x, np.asarray(x))
    assert (None if data.train.labels is None else data.train.labels.tolist()) == labels
    assert data.class_names == class_names and data.feature_names == names


def test_what_pandas_writes(tmp_path):
    """With and without row numbers, of an array and of named columns, and after row numbers were written twice."""
    pandas = pytest.importorskip("pandas")
    path, frame = tmp_path / "a.csv", pandas.DataFrame(X)
    for index in (False, True):
        frame.to_csv(path, index=index)
        check(load(path), X, names=("0", "1", "2"))
        frame.astype(int).to_csv(path, index=index)
        check(load(path), X.astype(int), names=("0", "1", "2"))
        frame.set_axis(list("abc"), axis=1).to_csv(path, index=index)
        check(load(path), X, names=("a", "b", "c"))
        frame.assign(label=["dog", "cat"]).to_csv(path, index=index)
        check(load(path), X, [1, 0], ("cat", "dog"), ("0", "1", "2"))
    frame.sample(frac=1, random_state=1).to_csv(path)
    assert load(path).train.x.shape == (2, 3)
    frame.set_axis(["one", "two"]).to_csv(path)
    check(load(path), X, names=("0", "1", "2"))
    frame.to_csv(path)
    for index in (False, True, True):
        pandas.read_csv(path).to_csv(path, index=index)
        check(load(path), X, names=("0", "1", "2"))
    frame.to_csv(path, sep=";", decimal=",", index=False)
    refused(lambda: load(path), "separated by semicolons", "pandas.read_csv(path, sep=';', decimal=',')")


@pytest.mark.parametrize(
    "text, rows, names",
    [
        ("0,1,2\n5,6,7\n", 1, ("0", "1", "2")),
        ("0,1\n1,0\n", 1, ("0", "1")),
        ("0\n0.5\n", 1, ("0",)),
        ("0\n5\n", 2, None),  # a column of integers
        ("1,2,3\n5,6,7\n", 2, None),
        ("0.0,1.0\n5,6\n", 2, None),
        ("2019,2020\n5,6\n", 2, None),
        ("label,2019,2020\n1,5,6\n", 1, ("2019", "2020")),
        ("label,0\n1,5\n", 1, ("0",)),
        (",0,1\n0,5,6\n", 1, ("0", "1")),
        ("name,,\n1,5,6\n", 1, ("name", "", "")),
        (",,\n1,5,6\n", 1, ("", "", "")),
        (",Unnamed: 0,Unnamed: 0.1,a\n1,1,1,6\n", 1, ("a",)),
        ("Unnamed: 0,label\n1,1\n", 1, ("Unnamed: 0",)),
        ("# a,b\n1,2\n", 1, ("a", "b")),
    ],
)
def test_a_line_of_names_is_recognised(write, text, rows, names):
    data = load(write(text))
    assert len(data.train) == rows and data.feature_names == names


def test_a_line_that_tells_excel_the_separator_is_passed_over(write):
    for text in ("sep=,\na,b\n1,2\n3,4\n", "SEP=,\r\na,b\r\n1,2\r\n3,4\r\n"):
        check(load(write(text)), [[1, 2], [3, 4]], names=("a", "b"))
    check(load(write("sep=,\n1,2\n")), [[1, 2]])
    refused(lambda: load(write("sep=,\n")), "holds no rows of numbers")
    refused(lambda: load(write("sep=,\na,b\n1,x\n")), "line 3, column 2")


@pytest.mark.parametrize(
    "header, x, names",
    [(True, [[5, 6]], ("2019", "2020")), (False, [[2019, 2020], [5, 6]], None),
     (np.True_, [[5, 6]], ("2019", "2020"))],
)  # fmt: skip
def test_a_line_of_names_is_told(write, header, x, names):
    check(load(write("2019,2020\n5,6\n"), header=header), x, names=names)


def test_a_header_that_is_neither_true_nor_false(write):
    with pytest.raises(ConfigError, match=r"True or False .*, got 'no'"):
        load(write("1,2\n"), header="no")


def test_a_first_row_with_a_hole_is_no_line_of_names(write):
    for cell in ("", "NA", "?", "null"):
        refused(lambda cell=cell: load(write(f"1.5,{cell}\n2,3\n")), "line 1, column 2")


def test_a_first_row_with_its_class_is_no_line_of_names(write):
    text = "5.1,3.5,setosa\n4.9,3.0,setosa\n6.3,3.3,virginica\n"
    refused(lambda: load(write(text)), "line 1, column 3 holds 'setosa'", "pass label_column='3'")
    data = load(write(text), label_column=3)
    check(data, np.float32([[5.1, 3.5], [4.9, 3.0], [6.3, 3.3]]), [0, 0, 1], ("setosa", "virginica"))
    assert data.notes == (
        "no line of names: the first line is read as numbers",
        "labels: column 3, 2 classes: setosa, virginica",
    )


@pytest.mark.parametrize(
    "text, column, x, labels, names",
    [
        ("5,0.5,0.25\n0,1,0\n", 1, [[0.5, 0.25], [1, 0]], [5, 0], None),
        ("5,0.5,0.25\n0,1,0\n", "1", [[0.5, 0.25], [1, 0]], [5, 0], None),
        ("a,b,c\n1,2,3\n4,5,6\n", "b", [[1, 3], [4, 6]], [2, 5], ("a", "c")),
        ("a,b,c\n1,2,3\n4,5,6\n", 3, [[1, 2], [4, 5]], [3, 6], ("a", "b")),
        ("0,1,2\n7,8,9\n", "0", [[8, 9]], [7], ("1", "2")),  # the name goes before the number
        ("label,labels,c\n1,2,3\n", "labels", [[1, 3]], [2], ("label", "c")),
        ("a,label\n1,2\n", "a", [[2]], [1], ("label",)),
    ],
)
def test_the_column_of_labels_is_told(write, text, column, x, labels, names):
    check(load(write(text), label_column=column), x, labels, names=names)


@pytest.mark.parametrize(
    "text, column, words",
    [
        ("1,2\n3,4\n", 3, ["no column '3'", "a number from 1 to 2"]),
        ("1,2\n3,4\n", 0, ["no column '0'"]),
        ("a,b\n3,4\n", "c", ["no column 'c'", "a number from 1 to 2, or one of a, b"]),
        ("a,a\n3,4\n", "a", ["more than one column 'a'"]),
        ("a,k\n3,cat\n4,\n", "k", ["line 3, column 2 is empty"]),
        ("a,k\n3,cat\n4,n/a\n", "k", ["line 3, column 2 holds 'n/a'"]),
        ("a,k\n3,1\n4,l\n", "k", ["the label 'l' among labels that are numbers"]),
        ("k,a\n1_000,5\n2,6\n", "k", ["the label '1_000' among labels that are numbers"]),
    ],
)
def test_wrong_labels_are_refused(write, text, column, words):
    path = write(text)
    refused(lambda: load(path, label_column=column), "table.csv", *words)


@pytest.mark.parametrize(
    "text, words",
    [
        ("1;2\n3;4\n", ["line 2, column 1 holds '3;4', not a number", "separated by semicolons"]),
        ("1,5;2,5\n3,5;4,5\n", ["separated by semicolons", "decimal=','"]),
        ("a;b\n1,5;2\n", ["separated by semicolons"]),
        ("1\t2\n3\t4\n", ["separated by tabs", "sep='\\t'"]),
        ("1.0 2.0\n3.0 4.0\n", ["separated by blanks", "delimiter=','"]),
        ('a,b\n"1,5","2,5"\n', ["column 1 holds '1,5', not a number", "decimal commas"]),
        ("a,kind\n1,setosa\n", ["column 2 holds 'setosa'", "if these are the labels, pass label_column='kind'"]),
        ("month,a\n2020_01,1\n2020_02,2\n", ["line 2, column 1 holds '2020_01', not a number"]),
        ("1,2,\n3,4,\n", ["line 1, column 3 is empty: each line seems to end with a comma: remove the last commas"]),
        ("a,b,\n1,2,\n", ["line 2, column 3 is empty: each line seems to end with a comma"]),
        ("a,b\n1,2,\n", ["line 2 has 3 values where the first has 2: each line seems to end with a comma"]),
        ("1,2\n3,\n", ["line 2, column 2 is empty: replace it"]),
        ("1,2,\n3,4,5\n", ["line 1, column 3 is empty: replace it"]),
        ('"a","b"\n"1",5,6\n', ["the first has 2: give each column a name; where R wrote row names"]),
        ("1,2\n3,4,5\n", ["line 2 has 3 values where the first has 2: make them equal"]),
        ("1,2\n3,4\n# the end\n", ["line 3 has 1 value where the first has 2: it seems to be a comment: remove it"]),
        ("# measured today\n1,2\n", ["where the first has 1: the first line seems to be a comment: remove"]),
        ("sep=;\n1;2\n", ["separated by semicolons"]),
        ("a,b\n1,NA\n", ["column 2 holds 'NA', not a number: replace it, or leave the row out"]),
    ],
)
def test_what_is_no_number_gets_advice(write, text, words):
    path = write(text)
    refused(lambda: load(path), "table.csv", *words)


@pytest.mark.parametrize(
    "text, notes",
    [
        ("0,1\n5,6\n", ("first line read as names: 0, 1" + NUMERIC,)),
        (",a\n3,5\n1,6\n", ("first line read as names: a",
            "column 1 has no name, so it is taken for row numbers and left out")),
        ("id,a\n1,5\n2,5\n3,6\n", ("first line read as names: id, a",
            "column 1 (id) counts the rows: remove it if it is not a measured value")),
        ("a,class\n1,5\n", ("first line read as names: a, class",
            "column 2 (class) is read as values: label_column='class' makes it the labels")),
        ("a,b\n-9999,5\n1,6\n2,7\n-9999,8\n", ("first line read as names: a, b",
            "column 1 (a) is -9999 in 2 of 4 rows: replace it if it stands for a missing value")),
        ("a,label\n1,0\n2,1\n", ("first line read as names: a, label", "labels: column 2 (label)")),
    ],
)  # fmt: skip
def test_what_was_recognised_is_said(write, text, notes):
    assert load(write(text)).notes == notes


def test_a_marker_within_the_values_is_a_value(tmp_path):
    np.save(tmp_path / "a.npy", np.float32([[-9999, 1], [-8000, 2], [-3000, 3]]))
    assert load(tmp_path / "a.npy").notes == ()
    np.savez(tmp_path / "a.npz", x=np.float32([[1, 1e20], [1, 2], [1, 3]]))
    note = "column 1 is 1e+20 in 1 of 3 rows: replace it if it stands for a missing value"
    assert load(tmp_path / "a.npz").notes == (note,)


def test_digits_that_float32_would_lose_are_kept(write, tmp_path):
    times = 1.7e9 + np.arange(100.0)
    np.savetxt(tmp_path / "a.csv", np.column_stack([times, np.arange(100.0) % 7]), delimiter=",")
    np.save(tmp_path / "a.npy", np.column_stack([times, np.arange(100.0) % 7]))
    for name in ("a.csv", "a.npy"):
        data = load(tmp_path / name)
        both = np.sort(np.concatenate([data.train.x[:, 0], data.test.x[:, 0]]))
        assert data.train.x.dtype == data.test.x.dtype == np.float64
        np.testing.assert_array_equal(both, times)
    np.savez(tmp_path / "a.npz", x_train=times[:, None], x_test=np.array([[0.1], [0.3]]))
    assert [part.x.dtype for part in load(tmp_path / "a.npz").parts.values()] == [np.float64] * 2


@pytest.mark.parametrize("column", ([0.1, 0.1, 0.1], [1.7e9, 1.7e9, 1.7e9], [0.1, 0.2, 0.7], [16777216, 0, 5]))
def test_digits_that_make_no_difference_are_not(tmp_path, column):
    np.save(tmp_path / "a.npy", np.float64(column)[:, None])
    assert load(tmp_path / "a.npy").train.x.dtype == np.float32


def test_a_line_without_an_end_costs_no_memory(tmp_path):
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"1," * (32 << 20)))
    assert peak_of(lambda: refused(lambda: load(tmp_path / "a.csv"), "a line of more than 4,194,304")) < 48e6


def test_options_of_tables_are_refused_elsewhere(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    refused(lambda: load(tmp_path / "a.npy", header=True), "takes no header, only a .csv file does")
    refused(lambda: load("digits", label_column="y"), "takes no label_column", "leave label_column out")


def test_names_and_labels_on_the_command_line(write, tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib")
    shown = []
    monkeypatch.setattr("tinyae.plot.report.columns", lambda path, x, y, names: shown.append(names) or path)
    monkeypatch.chdir(tmp_path)
    write("kind,height,width\n" + "cat,1,2\ndog,3,5\n" * 3)
    options = ["--data", "table.csv", "--label-column", "kind", "--epochs", "1", "--standardize", "--set", "hidden=4"]
    assert main(["train", "ae", *options, "--set", "loss=mse"]) == 0
    said = capsys.readouterr().err
    assert "first line read as names: kind, height, width\nlabels: column 1 (kind), 2 classes: cat, dog\n" in said
    assert shown == [("height", "width")]
    assert main(["encode", "runs/ae", "--split", "train"]) == 0  # the run stores the column of labels
    assert np.load("runs/ae/codes.npz")["labels"].tolist() == [0, 1] * 3
    assert main(["encode", "runs/ae", "--data", "table.csv", "--header", "maybe"]) == 2
    assert "expected yes or no, got 'maybe'" in capsys.readouterr().err


def test_columns_in_another_order_than_the_runs_are_refused(write, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("a,b,b\n" + "1,2,3\n4,5,7\n" * 3)
    fast = ["--data", "table.csv", "--epochs", "1", "--set", "hidden=4", "--set", "loss=mse", "--no-pictures"]
    assert main(["train", "ae", *fast]) == 0
    write("b,a,b\n1,2,3\n", "moved.csv")
    write("a,c,d\n1,2,3\n", "others.csv")
    capsys.readouterr()
    assert main(["encode", "runs/ae", "--data", "moved.csv"]) == 2
    said = capsys.readouterr().err
    assert "moved has columns in another order than the run's data (b, a): reorder them as a, b, b" in said
    for same in ("table.csv", "others.csv"):
        assert main(["encode", "runs/ae", "--data", same]) == 0
