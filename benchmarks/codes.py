"""Images to codes and a prior over them, compared with published numbers: `vq-vae`, then `pixelcnn` on its codes.

The published rows are from Keras's example (Paul 2021) on MNIST: the small vq-vae with 128 codes, 30 epochs of
batches of 128, and the residual pixelcnn of 1,049,728 parameters with Adam 3e-4. The nats of a code depend on how many
codes are in use, so the perplexity stands next to them, and with them the bits that the prior needs for an image. A
stopped run goes on where it was.
"""

import math
import statistics
import time
from pathlib import Path

import numpy as np

import tinyae
from tinyae.data.encoded import codes_of
from tinyae.evaluation.compression import error_over_variance, rate, usage

PUBLISHED = {"error_over_variance": 0.0444, "nats_per_code": 1.0336, "accuracy": 0.673}
FIT = {"batch_size": 128}
VQ_VAE = FIT | {"lr": 1e-3}
PRIOR = FIT | {"lr": 3e-4}
SHOWN = (
    "train_error_over_variance", "error_over_variance", "bits_per_pixel", "entropy_bits_per_pixel",
    "train_nats_per_code", "nats_per_code", "accuracy", "prior_bits_per_pixel",
)  # fmt: skip


def measure(data="mnist", out="runs/codes", epochs=30, prior_epochs=30, seeds=1, threads=None):
    """{"runs": [a row for each seed, of the test part], "published": the same names, ...}."""
    found, folders = tinyae.data.load(data), [Path(out) / f"{Path(data).name}-{seed}" for seed in range(seeds)]
    runs = [measure_seed(found, seed, folder, epochs, prior_epochs, threads) for seed, folder in enumerate(folders)]
    options = {"vq-vae": VQ_VAE | {"epochs": epochs}, "pixelcnn": PRIOR | {"epochs": prior_epochs}}
    versions, published = {"numpy": np.__version__}, PUBLISHED if data == "mnist" else {}
    return {"versions": versions, "data": data, "fit": options, "runs": runs, "published": published}


def measure_seed(data, seed, folder, epochs, prior_epochs, threads=None):
    """One vq-vae and its prior; printed as they come."""
    codec = tinyae.models.VQVAE(input_shape=data.shape, seed=seed)
    seconds, record = fit(codec, data, folder / "vq-vae", threads, epochs=epochs, seed=seed, **VQ_VAE)
    row = {"seed": seed, "vq_vae_seconds": seconds}
    row["train_error_over_variance"] = record["train"]["reconstruction"] / math.prod(data.shape)
    row |= {"error_over_variance": error_over_variance(codec, data.test.x)} | usage(codec, data.test.x)
    print(f"seed {seed}:", text(row), flush=True)

    codes = codes_of(data, codec)
    prior = tinyae.models.PixelCNN(codec.code_shape, codec.code_count, seed=seed)
    seconds, record = fit(prior, codes, folder / "pixelcnn", threads, epochs=prior_epochs, seed=seed, **PRIOR)
    nats = record["train"]["loss"] / math.prod(codec.code_shape)
    row |= {"pixelcnn_seconds": seconds, "train_nats_per_code": nats} | prior.measures(codes.test.x)
    row["prior_bits_per_pixel"] = rate(codec, row["bits_per_dim"] * math.prod(codec.code_shape))["bits_per_pixel"]
    print(f"seed {seed}:", text(row), flush=True)
    return row


def fit(model, data, folder, threads, **options):
    """(seconds, the last epoch's record) of a training; the seconds of one that was stopped are kept in its folder."""
    spent, began = folder / "seconds.txt", time.monotonic()
    before = float(spent.read_text()) if spent.exists() else 0.0
    history = tinyae.fit(model, data, out=folder, resume=folder.exists(), threads=threads, **options)
    seconds = before + time.monotonic() - began
    spent.write_text(f"{seconds:.1f}\n")
    if history.interrupted:
        raise SystemExit(f"stopped; the same command goes on with {folder}")
    return seconds, history.records[-1]


def text(row):
    return ", ".join(f"{name} {row[name]:.4f}" for name in SHOWN if name in row)


def show(result):
    """Means over the seeds, their range, and the published."""
    for name in SHOWN:
        values = [run[name] for run in result["runs"]]
        line = f"{name:<28}{statistics.mean(values):9.4f}   {min(values):.4f} to {max(values):.4f}"
        print(line + (f"   published {result['published'][name]}" if name in result["published"] else ""))
    used = ", ".join(f"{run['perplexity'][0]:.1f}" for run in result["runs"])
    print(f"perplexity of the codes      {used}")
