"""Crops of 128x128 from the photographs that scikit-image ships, learned by the vq-vae of that size.

The photographs of the test part are in no crop of the training part. The crops lie in a folder as PNG, so that the
command does the same as

    tinyae train vq-vae --data OUT/crops --batch-size 8 --schedule cosine --lr 0.0005 --epochs 8 --set ema=true
        --out OUT/run

on top of which it measures the test part and draws it. A stopped run goes on where it was.
"""

import importlib.util
import time
from pathlib import Path

import numpy as np

import tinyae
from tinyae import plot
from tinyae.evaluation.compression import error_over_variance, usage
from tinyae.evaluation.quality import pairs

SIDE = 128
PHOTOGRAPHS = {
    "train": ("astronaut.png", "hubble_deep_field.jpg", "ihc.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg"),
    "test": ("chelsea.png", "coffee.png"),
}
TEST_CROPS = 32  # patches of each photograph
SHOWN = 10  # in the picture
FIT = {"batch_size": 8, "schedule": "cosine"}


def measure(out, epochs=8, lr=5e-4, network="residual", width=0, codes=0, codebooks=1, crops=240, threads=None):
    """The test part's PSNR in dB, over all and by photograph, what share of its variance is lost, and how its codes are
    used and what they cost. width, codes: D and K, 0 for the network's own. codebooks: several quantise what those
    before left, and are moving averages as a single one is. crops: of each training photograph.
    """
    out = Path(out)
    if not (out / "crops").exists():
        write_crops(out / "crops", {"train": crops, "test": TEST_CROPS})
    data = tinyae.data.load(out / "crops")
    books = {"codes": codes, "codebooks": codebooks, "residual_codes": codebooks > 1, "ema": True}
    model = tinyae.models.VQVAE(input_shape=data.shape, network=network, latent_dim=width, **books)
    folder = out / "run"
    began = time.monotonic()
    options = FIT | {"epochs": epochs, "lr": lr}
    history = tinyae.fit(model, data, out=folder, resume=folder.exists(), threads=threads, **options)
    if history.interrupted:
        raise SystemExit(f"stopped; the same command goes on with {folder}")
    seconds, x = time.monotonic() - began, data.test.x
    found = psnr(model, x)
    tested = sorted(Path(name).stem for name in PHOTOGRAPHS["test"])
    names = [name for name in tested for _ in range(len(x) // len(tested))]  # folders come in the order of their names
    by_photograph = {name: float(found[[name == other for other in names]].mean()) for name in sorted(set(names))}
    order = np.arange(0, len(x), max(1, len(x) // SHOWN))[:SHOWN]
    plot.reconstructions(
        out / "reconstructions.png", x[order], model.reconstruct(x[order]), [names[i] for i in order], found[order],
        "PSNR", title="Photographs that were in no training crop, and their reconstructions",
    )  # fmt: skip
    return {
        "versions": {"numpy": np.__version__}, "photographs": PHOTOGRAPHS,
        "crops": {"train": len(data.train), "test": len(x)}, "fit": options, "model": model.config,
        "codes": model.code_count, "steps": history.steps, "seconds": seconds,
        "psnr": float(found.mean()), "psnr_by_photograph": by_photograph,
        "error_over_variance": error_over_variance(model, x), **usage(model, x),
    }  # fmt: skip


def psnr(model, x):
    """-10 log10 of the mean squared error of each reconstruction of x, (N,) in dB, for values from 0 to 1."""
    errors = [((y - target) ** 2).mean(axis=(1, 2, 3)) for target, y in pairs(model, x)]
    return -10 * np.log10(np.concatenate(errors))


def photographs():
    """The folder where scikit-image, which need not be imported, keeps them."""
    found = importlib.util.find_spec("skimage")
    if found is None:
        raise SystemExit("the photographs are scikit-image's: install the extra bench, or scikit-image")
    return Path(found.origin).parent / "data"


def write_crops(folder, counts):
    """folder/PART/PHOTOGRAPH/NUMBER.png, drawn evenly over each photograph, every second one of training mirrored."""
    from PIL import Image

    source = photographs()
    rng = np.random.default_rng(0)
    for part, names in PHOTOGRAPHS.items():
        for name in names:
            photograph = np.asarray(Image.open(source / name).convert("RGB"))
            target = folder / part / Path(name).stem
            target.mkdir(parents=True)
            for number in range(counts[part]):
                top, left = (rng.integers(0, side - SIDE + 1) for side in photograph.shape[:2])
                crop = photograph[top : top + SIDE, left : left + SIDE]
                crop = crop[:, ::-1] if part == "train" and number % 2 else crop
                Image.fromarray(np.ascontiguousarray(crop)).save(target / f"{number:04}.png")


def show(result):
    print(f"{result['steps']:,} steps on {result['crops']['train']:,} crops in {result['seconds'] / 60:.1f} minutes")
    print("  PSNR of the test part " + f"{result['psnr']:.1f} dB: ", end="")
    print(", ".join(f"{name} {value:.1f}" for name, value in result["psnr_by_photograph"].items()))
    print(f"  lost of the variance  {100 * result['error_over_variance']:.2f} %")
    perplexity = ", ".join(f"{value:.1f}" for value in result["perplexity"])
    print(f"  perplexity            {perplexity} of {result['codes']} codes")
    print(f"  bits per pixel        {result['bits_per_pixel']:.3f}, {result['entropy_bits_per_pixel']:.3f} by entropy")
