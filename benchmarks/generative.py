"""Generative systems side by side: the same images, the same number of epochs, one table and one picture.

`ae`, `vae` and `aae` are dense, with one encoder and one decoder of the same sizes; `conv-vae` and `vae-gan` have the
same convolutional ones, and all five codes of 20 numbers: what differs between them is what they are trained for. Two
are trained in two stages of so many epochs each: `vae-gan` starts from the `conv-vae`, and the prior of `vq-vae`
is a `pixelcnn` over its codes. What equal epochs cost in time stands next to it. `tinyae compare --frechet` prints
the table; it takes the runs' folders too. A stopped run goes on where it was.
"""

import sys
from pathlib import Path

import numpy as np

import tinyae
from tinyae.checkpoint.files import CODEC
from tinyae.data.encoded import codes_of
from tinyae.evaluation import side_by_side as compare
from tinyae.evaluation.judge import Judge

from .codes import fit

DENSE, CONVOLUTIONAL = {"latent_dim": 20, "hidden": (512, 256)}, {"latent_dim": 20}
SYSTEMS = {  # name: (options, learning rate); vae-gan's is published, aae's and gan's are the best of few
    "ae": (DENSE, 1e-3),
    "vae": (DENSE, 1e-3),
    "aae": (DENSE | {"scale": 5.0, "discriminator_rate": 0.5, "generator_rate": 0.2}, 1e-3),
    "conv-vae": (CONVOLUTIONAL, 1e-3),
    "vae-gan": (CONVOLUTIONAL | {"start": "conv-vae"}, 3e-4),
    "gan": ({"network": "conv"}, 1e-3),
    "vq-vae": ({}, 1e-3),
}
PRIOR = "pixelcnn", {}, 3e-4
BATCH = 128


def measure(data="fashion-mnist", out="runs/generative", epochs=10, threads=None):
    """{"runs": [the figures of `side_by_side`, with parameters and seconds of training by system], ...}.

    The picture is OUT/comparison.png.
    """
    data, out = tinyae.data.load(data), Path(out)
    options, trained, costs = {"epochs": epochs, "threads": threads}, {}, {}
    for name, (settings, lr) in SYSTEMS.items():
        if "start" in settings:
            settings = settings | {"start": str(out / settings["start"])}
        model = tinyae.models.NAMES[name](input_shape=data.shape, **settings)
        seconds, _ = fit(model, data, out / name, batch_size=BATCH, lr=lr, **options)
        trained[name], costs[name] = model, {"parameters": model.param_count, "seconds": round(seconds)}
    name, settings, lr = PRIOR
    codec = trained.pop("vq-vae")
    prior = tinyae.models.PixelCNN(codec.code_shape, codec.code_count, **settings)
    seconds, _ = fit(prior, codes_of(data, codec), out / name, batch_size=BATCH, lr=lr, **options)
    codec.save(out / name / CODEC)
    prior.codec, first, both = codec, costs.pop("vq-vae"), f"vq-vae + {name}"
    trained[both] = prior
    costs[both] = {"parameters": first["parameters"] + prior.param_count, "seconds": first["seconds"] + round(seconds)}

    judge, runs = Judge(data), list(trained.items())
    figures, rows = compare.side_by_side(runs, data.test.x, labels=data.test.labels, judge=judge)
    compare.draw(out / "comparison.png", rows)
    learning = {name: lr for name, (_, lr) in SYSTEMS.items()} | {PRIOR[0]: PRIOR[2]}
    return {
        "versions": {"numpy": np.__version__}, "data": data.name, "epochs": epochs, "batch_size": BATCH,
        "lr": learning, "runs": [row | costs[row["run"]] for row in figures], "judge": judge.about(),
    }  # fmt: skip


def show(result):
    print(f"{result['data']}, test part; epochs of each: {result['epochs']}, in batches of {result['batch_size']}")
    print("\n".join(compare.table(result["runs"], result["judge"]["training_images"])))


if __name__ == "__main__":
    from .__main__ import main

    main(["generative", *sys.argv[1:]])
