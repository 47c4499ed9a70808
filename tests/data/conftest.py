"""Files that several tests of tinyae.data read."""

import pytest


@pytest.fixture
def write(tmp_path):
    """Writes a table as text -> its path."""

    def to_file(text, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file
