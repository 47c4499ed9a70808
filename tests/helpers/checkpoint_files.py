"""Checkpoint files that tests change: as older versions wrote them, or corrupted on purpose."""

import json
import os

import numpy as np


def rewrite(path, change, to=None):
    """Writes the .npz at `path` anew, or to another path, after `change(arrays, meta)`; checksums are right again.

    arrays: {name: array} without meta. meta: the dict of its text.
    """
    with np.load(path) as archive:
        arrays = dict(archive)
    meta = json.loads(str(arrays.pop("meta")))
    change(arrays, meta)
    if to is None:
        os.remove(path)  # another name may be the same file
    np.savez(to or path, meta=np.array(json.dumps(meta)), **arrays)
