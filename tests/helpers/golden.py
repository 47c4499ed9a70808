"""What every model computes, recorded: a change of the code's form must not change a number.

    python tests/helpers/golden.py record FILE      writes every case with the digests of its numbers
    python tests/helpers/golden.py compare FILE     computes again, names the cases that differ, exits 1 if any does

On one machine, two checkouts compute the same bits if a file recorded in the first compares equal in the second. The
last bits differ between machines, so `python tests/helpers/golden.py values tests/models/golden.json` keeps a few
float64 numbers of each case, which `test_golden.py` compares with a tolerance.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile

import numpy as np

from tinyae import fit
from tinyae.backend import Noise, native
from tinyae.errors import ConfigError
from tinyae.models import NAMES

N, STEPS = 160, 3  # examples in a batch, so that a step of two threads is cut into parts; training steps

# Beside `examples()` of each model: what a user trains, its published networks among them.
DENSE, MAPS = dict(input_shape=(8, 8, 1), latent_dim=4), dict(input_shape=(16, 16, 1))
USUAL = [
    ("ae", DENSE), ("sparse-ae", DENSE), ("masked-ae", MAPS), ("denoising-ae", MAPS), ("conv-ae", MAPS),
    ("vae", DENSE), ("vae", DENSE | dict(samples=3)), ("conv-vae", DENSE), ("beta-vae", DENSE), ("cvae", DENSE),
    ("class-mean-vae", DENSE), ("mixture-vae", DENSE),
    ("vq-vae", MAPS), ("vq-vae", MAPS | dict(ema=True, cosine=True)),
    ("vq-vae", MAPS | dict(network="residual", codebooks=2, latent_dim=8)), ("vq-vae", MAPS | dict(network="keras")),
    ("aae", DENSE), ("aae", dict(network="reference", latent_dim=20, scale=5.0)),
    ("aae", dict(input_shape=(8, 8, 1), prior="ring", classes=4)),
    ("semi-aae", DENSE | dict(classes=3, labelled=30)),
    ("gan", DENSE), ("gan", DENSE | dict(loss="wasserstein")), ("gan", dict(network="conv", latent_dim=4)),
    ("vae-gan", MAPS | dict(latent_dim=4)),
    ("pixelcnn", dict(input_shape=(7, 7), levels=16, width=8, blocks=2)),
    ("pixelcnn", dict(input_shape=(7, 7), levels=16, width=8, blocks=2, network="gated", classes=3)),
]  # fmt: skip


def cases():
    """[(the model's name, its options)], each JSON-ready."""
    found = [(name, dict(model.config)) for name, cls in NAMES.items() for model in cls.examples()]
    return json.loads(json.dumps([*found, *USUAL]))


def made(name, options, dtype):
    return NAMES[name](**{k: v for k, v in options.items() if k not in ("dtype", "backend")}, dtype=dtype)


def numbers(name, options, dtype):
    """{what: array} of all that a model of these options computes."""
    model = made(name, options, dtype)
    batch = model.example_batch(Noise(1), N)
    terms, grads = model.loss_and_grads(batch, seed=5, step=7)
    found = {f"init/{k}": v.copy() for k, v in model.named_parameters().items()}
    found |= {f"terms/{k}": np.asarray(v) for k, v in terms.items()}
    found |= {f"grads/{k}": v for k, v in flat(grads).items()}
    history = fit(model, batch, epochs=STEPS, batch_size=N, clip_norm=1.0, threads=2, progress=False, seed=3)
    for record in history.records:
        found |= {f"epoch {record['epoch']}/{k}": np.asarray(v) for k, v in record["train"].items()}
    found |= {f"trained/{k}": v for k, v in model.named_parameters().items()}
    with tempfile.TemporaryDirectory() as folder:
        model.save(os.path.join(folder, "model.npz"))
        with np.load(os.path.join(folder, "model.npz")) as file:
            found |= {f"saved/{k}": file[k] for k in file.files}
    labels = {"labels": batch["labels"]} if name == "cvae" else {}
    calls = {"encode": ((batch["x"],), labels), "reconstruct": ((batch["x"],), labels)}
    for call, (arguments, named) in (calls | {"sample": ((3, 2), {})}).items():
        try:
            found[call] = getattr(model, call)(*arguments, **named)
        except ConfigError:  # a model without codes, or without a prior
            continue
    return found


def flat(grads):
    """{name: array} of gradients by name, or by phase and name."""
    found = {}
    for name, value in grads.items():
        found |= {f"{name}/{key}": array for key, array in value.items()} if isinstance(value, dict) else {name: value}
    return found


def digest(found):
    """{group: a digest of its names, shapes, dtypes and bits}."""
    groups = {}
    for name, array in found.items():
        array = np.ascontiguousarray(array)
        text = f"{name} {array.dtype} {array.shape}".encode()
        groups.setdefault(name.split("/")[0], hashlib.sha256()).update(text + array.tobytes())
    return {group: value.hexdigest()[:16] for group, value in groups.items()}


def values(name, options):
    """{what: number}: the terms and the gradients' norms of one float64 batch, which rounding does not amplify."""
    model = made(name, options, "float64")
    terms, grads = model.loss_and_grads(model.example_batch(Noise(1), 16), seed=5, step=7)
    norms = {name: np.linalg.norm(array) for name, array in flat(grads).items()}
    return {what: float(value) for what, value in (terms | norms).items()}


def digests(name, options):
    """{kind: {group: digest}} for both dtypes, with the compiled library and without."""
    found = {}
    for compiled in (True, False):
        os.environ["TINYAE_NATIVE"] = "1" if compiled else "0"
        native.forget()
        for dtype in ("float32", "float64"):
            kind = f"{dtype}, {'compiled' if native.library() else 'NumPy'}"
            found[kind] = digest(numbers(name, options, dtype))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare", "values"))
    parser.add_argument("file")
    arguments = parser.parse_args()
    if arguments.action != "compare":
        of = values if arguments.action == "values" else digests
        lines = [json.dumps([name, options, of(name, options)]) for name, options in cases()]
        with open(arguments.file, "w") as file:
            file.write("[\n" + ",\n".join(lines) + "\n]\n")
        return 0
    with open(arguments.file) as file:
        recorded = json.load(file)
    different = 0
    for name, options, before in recorded:
        now = digests(name, options)
        wrong = {
            kind: [
                group
                for group in before[kind] | now.get(kind, {})
                if before[kind].get(group) != now.get(kind, {}).get(group)
            ]
            for kind in before
        }
        wrong = {kind: groups for kind, groups in wrong.items() if groups}
        if wrong:
            different += 1
            print(name, options, wrong, flush=True)
    print(f"{len(recorded) - different} of {len(recorded)} cases are equal")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
