"""The numbers of every model are those that were recorded (`golden.py`)."""

import json
import pathlib

import golden
import pytest

RECORDED = json.loads(pathlib.Path(__file__).with_name("golden.json").read_text())


@pytest.mark.parametrize("index", range(len(RECORDED)), ids=lambda index: f"{RECORDED[index][0]}-{index}")
def test_terms_and_gradients_are_those_recorded(index):
    name, options, before = RECORDED[index]
    assert golden.values(name, options) == pytest.approx(before, rel=1e-9, abs=1e-12)
