"""log p(x) of binarized MNIST compared with published numbers: networks trained and measured by one command.

    python -m benchmarks.quality likelihood [--data mnist] [--out runs/likelihood] [--threads N] [--json FILE]

The published rows: Burda, Grosse & Salakhutdinov 2016, table 1 (one stochastic layer, dynamic binarization, 3,280
epochs of batches of 20, 5,000 draws) and the table of `pythae` (static binarization, Larochelle & Murray's file, 500
epochs, 200 draws). Ours train for far fewer epochs, in batches of 100 with a cosine from 1e-3; the static images are
our own draw. A stopped run goes on where it was.
"""

import time
from pathlib import Path

import tinyae
from tinyae.data.binarize import static
from tinyae.evaluation.likelihood import active_units, importance_weighted

IWAE = {"hidden": (200, 200), "latent_dim": 50, "activation": "tanh"}
CASES = {
    "784-400-40": {
        "model": {"hidden": (400,), "latent_dim": 40}, "binarize": "static", "epochs": 80,
        "draws": (1, 200), "published": {"nll": 89.78, "epochs": 500, "draws": 200},
    },
    "784-200-200-50": {
        "model": IWAE, "binarize": "dynamic", "epochs": 100,
        "draws": (1, 200, 5000), "published": {"nll": 86.76, "epochs": 3280, "draws": 5000},
    },
    "784-200-200-50, k = 5": {
        "model": IWAE | {"samples": 5}, "binarize": "dynamic", "epochs": 40,
        "draws": (1, 200), "published": {"nll": 85.54, "epochs": 3280, "draws": 5000},
    },
}  # fmt: skip
FIT = {"batch_size": 100, "lr": 1e-3, "schedule": "cosine"}


def measure(data, out, threads=None, epochs=None, cases=CASES):
    """{case: its settings, the seconds and the estimates on the binarized test part}. epochs: instead of the cases'."""
    data = tinyae.data.load(data)
    return {name: measure_case(name, case, data, Path(out) / name, threads, epochs) for name, case in cases.items()}


def measure_case(name, case, data, folder, threads=None, epochs=None):
    model, x = tinyae.models.VAE(input_shape=data.shape, **case["model"]), static(data.test.x, "test")
    options = FIT | {"epochs": epochs or case["epochs"], "binarize": case["binarize"]}
    began = time.monotonic()
    history = tinyae.fit(model, data, out=folder, resume=folder.exists(), threads=threads, **options)
    if history.interrupted:
        raise SystemExit(f"stopped; the same command goes on with {folder}")
    result = case | options | {"training_seconds": time.monotonic() - began, "nll": {}}
    for draws in case["draws"]:
        began = time.monotonic()
        bound = importance_weighted(model, x, draws)
        result["nll"][draws] = {
            "nats": -bound.mean, "standard_error": bound.standard_error, "monte_carlo_error": bound.monte_carlo_error,
            "seconds": time.monotonic() - began,
        }  # fmt: skip
        print(f"{name}: {draws} draws, {-bound.mean:.2f} +- {bound.standard_error:.2f} nats", flush=True)
    return result | {"active_units": int(active_units(model, x)[0].sum())}


def show(results):
    print(f"{'network':<22}{'binarized':<11}{'epochs':>6}{'draws':>7}{'-log p(x)':>11}   published")
    for name, case in results.items():
        for draws, row in case["nll"].items():
            print(f"{name:<22}{case['binarize']:<11}{case['epochs']:>6}{draws:>7}{row['nats']:>11.2f}", end="")
            print("   {nll} after {epochs} epochs, {draws} draws".format(**case["published"]))
