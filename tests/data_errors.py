"""What every refusal of bad data looks like."""

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
