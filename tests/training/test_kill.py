"""kill -9 at any moment, then resume: training ends bit for bit where an uninterrupted run ends.

Real processes, killed at random moments of training, and at random points inside the write of a checkpoint.
"""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tinyae.checkpoint import files as checkpoint

RANDOM_KILLS = 12
WRITE_KILLS = 14

# Trains in `folder`, resuming what is there. With a plan, it kills itself while it writes a checkpoint: at the n-th
# call that touches the disk, or when only a share of the file's bytes is written.
TRAIN = """
import os, signal, sys
import numpy as np
import tinyae
from tinyae.checkpoint import files as checkpoint

folder, kind, number = sys.argv[1], sys.argv[2], float(sys.argv[3])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def counted(function):
    def call(*args, **kwargs):
        global number
        number -= 1
        if number == 0 and kind == "before":
            die()
        result = function(*args, **kwargs)
        if number == 0 and kind == "after":
            die()
        return result
    return call

def torn(savez):
    def call(file, **arrays):
        global number
        number -= 1
        if number > 0:
            return savez(file, **arrays)
        import io
        whole = io.BytesIO()
        savez(whole, **arrays)
        file.write(whole.getvalue()[: int(len(whole.getvalue()) * (number + 1))])
        file.flush()
        die()
    return call

if kind in ("before", "after"):
    for name in ("fsync", "replace", "link"):
        setattr(os, name, counted(getattr(os, name)))
elif kind == "torn":
    np.savez = torn(np.savez)

data = tinyae.data.load("digits")
model = tinyae.models.VAE(input_shape=(8, 8, 1), hidden=(24,), latent_dim=2, seed=3)
print("training", flush=True)
tinyae.fit(model, data, epochs=6, batch_size=100, seed=5, out=folder, resume=True, checkpoint_every=0.0,
           schedule="cosine", clip_norm=50.0, validation=0.1, progress=False)
print("finished", flush=True)
"""


def start(folder, kind="none", number=0.0):
    command = [sys.executable, "-c", TRAIN, str(folder), kind, str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(folder):
    process = start(folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "finished" in out


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    begin = time.monotonic()
    finish(folder)
    return folder, time.monotonic() - begin


def assert_same_end(folder, reference):
    for name in ("last.npz", "best.npz"):
        ours, theirs = checkpoint.read(folder / name), checkpoint.read(reference / name)
        assert ours.meta == theirs.meta
        assert ours.arrays.keys() == theirs.arrays.keys()
        for key, array in ours.arrays.items():
            np.testing.assert_array_equal(array, theirs.arrays[key], err_msg=f"{name}: {key}")
    assert (folder / "metrics.jsonl").read_bytes() == (reference / "metrics.jsonl").read_bytes()
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]


def test_killed_at_random_moments(tmp_path, uninterrupted):
    reference, duration = uninterrupted
    draw = random.Random(11)
    killed = 0
    while killed < RANDOM_KILLS:
        process = start(tmp_path)
        assert process.stdout.readline() == "training\n"
        time.sleep(draw.uniform(0, 0.4 * duration / RANDOM_KILLS))
        assert process.poll() is None, "finished before it was killed: the run is too short for this test"
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += 1
    finish(tmp_path)
    assert_same_end(tmp_path, reference)


def test_killed_while_a_checkpoint_is_written(tmp_path, uninterrupted):
    reference, _ = uninterrupted
    draw = random.Random(12)
    for attempt in range(WRITE_KILLS):
        kind = ("before", "after", "torn")[attempt % 3]
        # Each save makes about seven calls; a torn file is cut anywhere, its first and its last bytes included.
        number = draw.randint(1, 40) if kind != "torn" else draw.randint(1, 5) - 1 + draw.random()
        process = start(tmp_path, kind, number)
        _, err = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, err
    finish(tmp_path)
    assert_same_end(tmp_path, reference)
