"""The folder that several files of tests of the command line work in."""

import pytest


@pytest.fixture
def here(place, monkeypatch):
    """The folder `place`, which a file of tests fills with runs of its own, as the current one."""
    monkeypatch.chdir(place)
    return place
