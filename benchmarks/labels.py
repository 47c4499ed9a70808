"""What a few labels are worth: `semi-aae` compared with its encoder alone, trained on the labelled images.

Both choose the same labelled images by the seed, and are judged on the test images; published
errors stand next to them. A stopped run goes on where it was.
"""

import statistics
from pathlib import Path

import numpy as np

import tinyae
from tinyae.models import SemiAAE
from tinyae.traits import Best

from .codes import fit

# Of Makhzani et al. 2015, table 2: test errors on MNIST in percent, by the number of labels.
PUBLISHED = {
    "neural network, labelled images alone": {100: 25.8, 1000: 8.73},
    "VAE (M1 + M2)": {100: 3.33, 1000: 2.40},
    "CatGAN": {100: 1.91, 1000: 1.73},
    "adversarial autoencoder": {100: 1.90, 1000: 1.60},
}
FIT = {"batch_size": 128, "lr": 1e-3, "schedule": "cosine"}
ALONE = 4  # epochs: by then all labelled images are told right, and the accuracy on others stands still


class Alone(SemiAAE):
    """Its encoder trained on the labelled images alone: the phase of the classes without the others."""

    selection = Best("cross_entropy")
    monitors = ()

    @property
    def phases(self):
        return [phase for phase in super().phases if phase.name == "classes"]



def measure(data="mnist", labelled=(100, 1000), seeds=1, epochs=20, out="runs/labels", threads=None):
    """{"runs": [{"labelled", "seed", "method", "accuracy", "cross_entropy", "seconds"}], ...}, printed as they come."""
    found, runs = tinyae.data.load(data), []
    methods = {"semi-aae": (SemiAAE, epochs), "labelled images alone": (Alone, min(ALONE, epochs))}
    for count in labelled:
        for seed in range(seeds):
            for method, (kind, each) in methods.items():
                model = kind(input_shape=found.shape, classes=found.class_count, labelled=count, seed=seed)
                folder = Path(out) / f"{Path(data).name}-{count}-{seed}" / method.replace(" ", "-")
                seconds, record = fit(model, found, folder, threads, epochs=each, seed=seed, **FIT)
                run = {"labelled": count, "seed": seed, "method": method, "accuracy": record["test"]["classified"]}
                run |= {"cross_entropy": record["test"]["cross_entropy"], "seconds": round(seconds)}
                print(" ".join(f"{key}={value}" for key, value in run.items()), flush=True)
                runs.append(run)
    versions, epochs = {"numpy": np.__version__}, {method: each for method, (_, each) in methods.items()}
    setting = {"data": data, "epochs": epochs, "fit": FIT, "model": SemiAAE().config}
    return {"versions": versions} | setting | {"runs": runs, "published_errors": PUBLISHED}


def show(result):
    """Test errors in percent: means over the seeds with their range, and the published ones of MNIST."""
    errors = {}
    for run in result["runs"]:
        errors.setdefault(run["method"], {}).setdefault(run["labelled"], []).append(100 * (1 - run["accuracy"]))
    counts = list(dict.fromkeys(run["labelled"] for run in result["runs"]))
    print(f"{'test error in percent, by labels':<40}" + "".join(f"{count:>20}" for count in counts))
    for method, found in errors.items():
        cells = (f"{statistics.mean(e):.2f} ({min(e):.2f} to {max(e):.2f})" for e in found.values())
        print(f"{method:<40}" + "".join(f"{cell:>20}" for cell in cells))
    for method, found in result["published_errors"].items():
        cells = (str(found.get(count, "")) for count in counts)
        print(f"{'published: ' + method:<40}" + "".join(f"{cell:>20}" for cell in cells))
