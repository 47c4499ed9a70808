"""`tinyae gradcheck` as its reader sees it: rows, what is wrong below them, JSON, and the float32 operations alone."""

import json

import pytest

from tinyae.backend import native
from tinyae.cli import main
from tinyae.gradcheck import OPERATIONS
from tinyae.layers import Dense


@pytest.fixture
def overwriting(monkeypatch):
    def add_grads(self, params, cache, dy, grads):
        grads["weight"][...] = cache.T @ dy
        if self.bias:
            grads["bias"] += 2 * dy.sum(axis=0)

    monkeypatch.setattr(Dense, "add_grads", add_grads)


def test_one_name_gets_a_table_by_array(capsys):
    assert main(["gradcheck", "Dense"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["layer", "Dense"] and lines[1].endswith("  passed")
    assert [line.split("  ")[1] for line in lines[2:]] == ["weight", "bias", "x", "all together"]


def test_what_fails_is_named_by_its_array_and_in_words(overwriting, capsys):
    assert main(["gradcheck", "Dense"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("  FAILED: 8 of 8 cases")
    assert lines[2:4] == ["  Dense(3)", "    the gradient of weight is overwritten: add to what is there (+=)"]
    assert lines[4].split()[0] == "weight" and "WRONG" not in lines[4]
    assert lines[5].split()[0] == "bias" and lines[5].endswith("  WRONG")


def test_json_has_arrays_and_faults_beside_the_keys_of_before(overwriting, capsys):
    assert main(["gradcheck", "Dense", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert list(row) == [
        "name", "kind", "max_relative_error", "checks", "passed", "where", "arrays", "wrong", "faults", "diagnoses"
    ]  # fmt: skip
    assert (row["name"], row["kind"], row["passed"], row["where"]) == ("Dense", "layer", False, "bias")
    assert row["arrays"]["bias"] > 0.1 and row["arrays"]["weight"] < 1e-6
    assert row["max_relative_error"] == max(row["arrays"].values())
    assert row["wrong"] == ["bias", "all together"]
    assert row["faults"] == ["the gradient of weight is overwritten: add to what is there (+=)"]


def test_compiled_alone(library, capsys):
    assert main(["gradcheck", "--compiled", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(OPERATIONS) and {row["kind"] for row in rows} == {"float32"}
    for row in rows:
        assert any("(compiled" in name for name in row["arrays"]) and any("(NumPy" in name for name in row["arrays"])


@pytest.mark.parametrize(
    "words, said",
    [
        (["--compiled"], "--compiled: there is no compiled library (none: no C++ compiler)"),
        (
            ["Dense", "--compiled"],
            "--compiled: Dense is no float32 operation: leave --compiled out, or name one of operations.",
        ),
    ],
)
def test_compiled_that_cannot_be_is_refused(words, said, monkeypatch, capsys):
    monkeypatch.setattr(native, "_answer", (None, "none: no C++ compiler"))
    assert main(["gradcheck", *words]) == 2
    done = capsys.readouterr()
    assert done.out == "" and done.err.startswith(f"tinyae: {said}") and done.err.count("\n") == 1


def test_without_a_library_numpy_is_checked_and_a_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(native, "_answer", (None, "none: no C++ compiler"))
    assert main(["gradcheck", "operations.batch_norm"]) == 0
    done = capsys.readouterr()
    reason = "there is no compiled library (none: no C++ compiler)"
    assert done.err == f"checking float32 operations of NumPy only: {reason}\n"
    assert "(NumPy" in done.out and "(compiled" not in done.out


def test_other_names_need_no_library(monkeypatch, capsys):
    monkeypatch.setattr(native, "_ask", lambda: pytest.fail("it would be compiled"))
    monkeypatch.setattr(native, "_answer", None)
    assert main(["gradcheck", "kl_standard"]) == 0
