"""What every refusal of bad data looks like, and what memory it may take."""

import tracemalloc

import pytest

from tinyae.errors import DataError


def refused(call, *words):
    """The call raises DataError with one line that contains each of `words`."""
    with pytest.raises(DataError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def peak_of(call):
    """The most bytes that Python and NumPy held at once during the call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
