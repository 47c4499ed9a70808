"""Every public function refuses odd arguments in tinyae's own words: no other error, and no wrong number."""

import importlib
import inspect
import math
import pkgutil

import numpy as np
import pytest

import tinyae
from tinyae import evaluation, explore, models, plot
from tinyae.data import Dataset, Split, fetch, load, to_float
from tinyae.errors import TinyaeError
from tinyae.evaluation import (
    anomaly,
    classifier,
    clustering,
    codes_side_by_side,
    compression,
    coverage,
    dense_probe,
    disentanglement,
    diversity,
    frechet,
    judge,
    likelihood,
    neighbours,
    parzen,
    probe,
    quality,
    side_by_side,
)

ODD = {
    "None": None, "zero": 0, "minus": -1, "half": 1.5, "nan": math.nan, "inf": math.inf, "true": True, "text": "x",
    "empty": [], "none": np.array([]), "dict": {}, "object": object(), "nans": np.full((12, 2), math.nan),
    "texts": np.array(["a"]), "matrix": np.ones((3, 3)),
}  # fmt: skip
OUT_OF_RANGE = "None", "minus", "half", "nan", "inf", "text", "empty", "none", "nans"

rng = np.random.default_rng(0)
X, X8 = (rng.random((12, side, side, 1)).astype("float32") for side in (6, 8))
LABELS, Z = np.arange(12) % 2, rng.standard_normal((12, 2))
FACTORS = np.stack([LABELS, np.arange(12) % 3], axis=1)
SMALL, NAMES = dict(input_shape=X.shape[1:], latent_dim=2), ("a", "b")
VAE, CVAE = models.VAE(**SMALL, hidden=(4,)), models.CVAE(**SMALL, hidden=(4,), classes=2)
VQ = models.VQVAE(X8.shape[1:], network="small", codes=4, latent_dim=2)
MIXTURE = models.MixtureVAE(**SMALL, classes=2, channels=(2,), units=4)
SPARSE = models.SparseAE(X.shape[1:], latent_dim=4)
PIXELS = models.PixelCNN((3, 3, 1), levels=4, width=4, blocks=1, classes=2)
DATA = Dataset("d", Split(X, LABELS), Split(X, LABELS), NAMES)
PROBE = probe.LinearProbe(2).fit(Z, LABELS)
BOTH = dict(codes=Z, labels=LABELS)
RECORDS = [{"epoch": 1, "train": {"loss": 1.0}}]


def uniform(z):
    return np.full((len(z), 2), 0.5)


# The arguments of a call that is right, by function; `PATH` is a file in a folder of the test.
PATH = object()
CALLS = {
    anomaly.roc_auc: dict(scores=Z[:, 0], positive=LABELS == 1),
    anomaly.scores: dict(model=VAE, x=X, labels=None, samples=2, seed=0),
    classifier.train_classifier: dict(data=DATA, seed=0),
    clustering.assignment: dict(cost=np.eye(3)),
    clustering.clustering_accuracy: dict(clusters=LABELS, labels=LABELS),
    clustering.contingency: dict(clusters=LABELS, labels=LABELS),
    compression.error_over_variance: dict(model=VQ, x=X8),
    compression.rate: dict(model=VQ, bits=10),
    compression.usage: dict(model=VQ, x=X8),
    coverage.coverage: dict(points=Z, others=Z, k=2),
    coverage.coverage_of_like: dict(n=10, m=10, k=2),
    coverage.match: dict(codes=Z, drawn=Z, k=2),
    dense_probe.DenseProbe: dict(classes=2, seed=0),
    disentanglement.disentanglement: dict(encode=VAE.encode, x=X, factors=FACTORS, seed=0),
    disentanglement.entropy: dict(counts=LABELS),
    disentanglement.higgins: dict(codes=Z, factors=FACTORS, seed=0, votes=5, pairs=2),
    disentanglement.information_gaps: dict(codes=Z, factors=FACTORS, bins=3),
    disentanglement.mig: dict(codes=Z, factors=FACTORS, bins=3),
    disentanglement.mutual_information: dict(codes=Z, factors=FACTORS, bins=3),
    diversity.entropy: dict(p=uniform(Z)[0]),
    diversity.hardly_drawn: dict(drawn=uniform(Z)[0], data=uniform(Z)[0]),
    diversity.nearest_images: dict(x=X, among=X),
    diversity.rows: dict(x=X),
    diversity.shares: dict(labels=LABELS, classes=2),
    frechet.frechet: dict(a=Z, b=Z),
    judge.Judge: dict(data=DATA, seed=0),
    judge.check_labelled_images: dict(data=DATA),
    judge.evenly: dict(x=X, most=3),
    judge.sharpness: dict(x=X),
    likelihood.active_units: dict(model=VAE, x=X, labels=None),
    likelihood.check_density: dict(model=VAE),
    likelihood.importance_weighted: dict(model=VAE, x=X, samples=2, labels=None, seed=0),
    likelihood.standard_error: dict(values=Z[0]),
    neighbours.nearest_neighbours: dict(queries=Z, codes=Z, k=1),
    neighbours.vote: dict(neighbours=FACTORS),
    parzen.log_densities: dict(samples=X, x=X, bandwidths=(0.1, 0.5)),
    parzen.parzen: dict(samples=X, validation=X, test=X, bandwidths=(0.1, 0.5)),
    probe.LinearProbe: dict(classes=2),
    PROBE.predict: dict(codes=Z),
    PROBE.score: BOTH,
    probe.LinearProbe(2).fit: BOTH,
    quality.errors: dict(model=CVAE, x=X, labels=LABELS),
    quality.pairs: dict(model=CVAE, x=X, labels=LABELS),
    quality.reconstruction_quality: dict(model=CVAE, x=X, labels=LABELS),
    explore.add: dict(codes=Z, direction=Z[0], strengths=[0.0, 1.0]),
    explore.attribute: dict(codes=Z, having=LABELS == 1, without=LABELS == 0),
    explore.check_dimensions: dict(model=VAE, chosen=(0, 1)),
    explore.check_plane: dict(model=VAE, chosen=(0, 1)),
    explore.decode: dict(model=CVAE, codes=Z.reshape(3, 4, 2), labels=[0, 1, 0]),
    explore.dimensions: dict(model=CVAE, x=X, labels=LABELS),
    explore.floats: dict(codes=Z),
    explore.linear: dict(start=Z[0], end=Z[1], count=3),
    explore.plane: dict(side=3, latent_dim=2, chosen=(0, 1), codes=Z, low=0.05, high=0.95, centre=[0, 0]),
    explore.spherical: dict(start=Z[0], end=Z[1], count=3),
    explore.transfer: dict(model=CVAE, x=X, labels=LABELS, targets=[0, 1]),
    explore.traverse: dict(code=Z[0], chosen=[0], values=[0.0, 1.0]),
    plot.clusters: dict(path=PATH, model=MIXTURE, x=X, labels=LABELS, class_names=NAMES, seed=0),
    plot.code_maps: dict(codes=np.zeros((2, 3, 3), int), count=4, shape=(6, 6, 1)),
    plot.codebook: dict(path=PATH, model=VQ, counts=np.arange(4), most=4),
    plot.scatter_codes: dict(path=PATH, z=Z, labels=LABELS, class_names=NAMES, prior=Z, means=Z[:2]),
    plot.codes_beside: dict(path=PATH, panels=[("a", Z, Z)], labels=LABELS, class_names=NAMES, title="a"),
    plot.columns: dict(path=PATH, inputs=Z, outputs=Z + 0.1, names=NAMES),
    plot.curves: dict(path=PATH, records=RECORDS, unit="nats", per=("code", 4)),
    plot.drawable: dict(text="a"),
    plot.features: dict(path=PATH, model=SPARSE, x=X, most=4),
    plot.grid: dict(
        path=PATH, images=X, columns=4, scale=2, title="a", column_labels=NAMES * 2, row_labels=list("abc"),
        captions=["a"] * 12, x_label="a", y_label="b", gap=4,
    ),
    plot.manifold: dict(
        path=PATH, model=CVAE, side=3, low=0.05, high=0.95, chosen=(0, 1), codes=Z, label=0, title="a", centre=[0, 0],
    ),
    plot.priors: dict(path=PATH, model=PIXELS, class_names=NAMES, seed=0),
    plot.reconstructions: dict(
        path=PATH, inputs=X, outputs=X, labels=["a"] * 12, errors=Z[:, 0], error_name="a", maps={"a": X}, title="a",
    ),
    plot.regions: dict(
        path=PATH, points=Z, labels=LABELS, probabilities=uniform, decode=VAE.decode, class_names=NAMES, names=NAMES,
        title="a",
    ),
    plot.restorations: dict(path=PATH, rows={"a": X, "b": X}, labels=["a"] * 12, title="a"),
    plot.samples: dict(path=PATH, images=X, title="a"),
    plot.styles: dict(path=PATH, model=CVAE, class_names=NAMES, seed=0),
    plot.training_report: dict(
        folder=PATH, model=VAE, x=X, labels=LABELS, class_names=NAMES, records=RECORDS, feature_names=None,
    ),
    plot.transfers: dict(path=PATH, model=CVAE, x=X, labels=LABELS, class_names=NAMES),
    plot.usage: dict(path=PATH, counts=np.ones((1, 4)), images=3),
    Dataset: dict(name="a", train=X, test=X, class_names=NAMES, factor_names=None, validation=X, feature_names=None,
                  notes=()),
    DATA.find_class: dict(text="a"),
    Split: dict(x=X, labels=LABELS, factors=FACTORS),
    fetch: dict(name="digits", folder=None, progress=None, mirror=None),
    load: dict(name_or_path="digits", size=None, fit=None, header=None, label_column=None),
    to_float: dict(x=X, dtype="float32"),
    side_by_side.side_by_side: dict(runs=[("a", VAE)], x=X, seed=0, labels=LABELS, judge=None),
    side_by_side.check_comparable: dict(runs=[("a", VAE)], x=X),
    codes_side_by_side.compare_codes: dict(runs=[("a", CVAE)], x=X, labels=LABELS, seed=0),
    codes_side_by_side.check_comparable: dict(runs=[("a", CVAE)], x=X),
    tinyae.fit: dict(model=VAE, data=X, epochs=1, batch_size=12, test=X, validation=0.5, progress=False, out=None),
    tinyae.gradcheck: dict(subject=tinyae.layers.Dense(2), input_shape=(3,)),
    tinyae.load: dict(path="model.npz", backend="numpy", model=None),
}  # fmt: skip
INTERNAL = {probe.minimise, probe.newton_step, plot.check_viz, explore.Dimensions, likelihood.Bound}
INTERNAL |= {classifier.Classifier}  # a model, whose options are checked elsewhere


def public():
    """The functions and classes of the packages, as their modules define them."""
    names = {found.name for found in pkgutil.iter_modules(evaluation.__path__)}
    names -= {"side_by_side", "codes_side_by_side"}  # parts of `tinyae compare`, which checks what it is given
    modules = [explore, *(importlib.import_module(f"{evaluation.__name__}.{name}") for name in names)]
    own = [item for module in modules for name, item in vars(module).items()
           if not name.startswith("_") and getattr(item, "__module__", None) == module.__name__ and callable(item)
           and not isinstance(item, tinyae.options.Kind)]  # fmt: skip
    return {*own, *(getattr(plot, name) for name in plot.__all__ if callable(getattr(plot, name)))}


def test_every_public_function_is_here():
    assert public() - INTERNAL <= CALLS.keys()


@pytest.fixture(autouse=True)
def nothing_is_written(monkeypatch, tmp_path):
    """Pictures are laid out, and not saved; a classifier is trained for one step. A model is there to be loaded."""
    monkeypatch.chdir(tmp_path)
    VAE.save("model.npz")
    monkeypatch.setattr("tinyae.plot.axes.replace", lambda path, write: path)
    for picture in ("scatter_codes", "curves", "manifold", "reconstructions", "samples"):  # the pictures in a report
        monkeypatch.setattr(f"tinyae.plot.report.{picture}", lambda path, *arguments, **options: path)
    monkeypatch.setattr(classifier, "STEPS", 1)


def outcome(function, arguments):
    """The error that a call raises, or None. A generator is run."""
    try:
        result = function(**arguments)
        if inspect.isgenerator(result):
            list(result)
    except Exception as error:
        return error
    return None


def complaints(function, arguments):
    """A line for each argument and odd value of it that is answered by another error than tinyae's, in one line."""
    said = []
    for name in arguments:
        for what, value in ODD.items():
            error = outcome(function, arguments | {name: value})
            in_words = isinstance(error, TinyaeError) and str(error).isprintable() and len(str(error)) < 400
            if error is not None and not in_words:
                said.append(f"{name}={what}: {error!r}")
    return said


@pytest.mark.parametrize("function", CALLS, ids=lambda function: f"{function.__module__}.{function.__qualname__}")
def test_odd_arguments_are_refused_in_tinyaes_own_words(function, tmp_path):
    arguments = {name: tmp_path / "a.png" if value is PATH else value for name, value in CALLS[function].items()}
    error = outcome(function, arguments)
    assert error is None or function is fetch, error
    assert complaints(function, arguments) == []


METHODS = (
    "encode", "decode", "reconstruct", "sample", "save", "standardize", "loss", "loss_and_grads", "posterior",
    "kl_per_dimension", "probabilities", "cluster", "classify", "style", "styled", "across", "draw_prior", "usage",
    "uniform_codes", "log_prob", "activity", "demonstration", "images", "fill", "admit",
    "admit_batch", "check_labels",
)  # fmt: skip


@pytest.mark.parametrize("name", models.NAMES)
def test_odd_arguments_of_methods_are_refused_in_tinyaes_own_words(name, tmp_path):
    model = models.NAMES[name].examples()[0]
    batch = model.example_batch(model.backend.noise(0), 4)
    given = dict(x=batch["x"], batch=batch, labels=batch.get("labels"), z=np.zeros((4, 2)), n=2, noise=None, seed=0)
    given |= dict(step=0, train=False, path=tmp_path / "a.npz", drawn=batch["x"], temperature=1.0, top_k=0)
    given |= dict(hidden=batch["x"] > 0.5, count=4)
    for method in filter(None, (getattr(model, name, None) for name in METHODS)):
        arguments = {name: given[name] for name in inspect.signature(method).parameters}
        assert complaints(method, arguments) == [], method


@pytest.mark.parametrize(
    "function, name",
    [
        (anomaly.scores, "samples"), (compression.rate, "bits"), (coverage.coverage, "k"), (coverage.match, "k"),
        (coverage.coverage_of_like, "n"), (coverage.coverage_of_like, "m"), (coverage.coverage_of_like, "k"),
        (dense_probe.DenseProbe, "classes"), (dense_probe.DenseProbe, "seed"), (disentanglement.higgins, "votes"),
        (disentanglement.mig, "bins"), (diversity.shares, "classes"), (diversity.entropy, "p"),
        (diversity.hardly_drawn, "drawn"), (diversity.hardly_drawn, "data"), (judge.evenly, "most"),
        (likelihood.importance_weighted, "samples"), (likelihood.standard_error, "values"),
        (neighbours.nearest_neighbours, "k"),
        (parzen.parzen, "bandwidths"), (parzen.log_densities, "bandwidths"), (probe.LinearProbe, "classes"),
        (explore.check_plane, "chosen"), (explore.check_dimensions, "chosen"), (explore.linear, "count"),
        (explore.plane, "low"), (explore.plane, "high"), (explore.plane, "chosen"), (explore.traverse, "values"),
        (explore.add, "strengths"), (plot.codebook, "most"), (plot.features, "most"), (plot.grid, "gap"),
        (plot.manifold, "side"), (plot.manifold, "low"), (plot.code_maps, "count"),
    ],
    ids=lambda value: getattr(value, "__qualname__", value),
)  # fmt: skip
def test_a_number_out_of_its_range_is_refused(function, name, tmp_path):
    arguments = {key: tmp_path / "a.png" if value is PATH else value for key, value in CALLS[function].items()}
    for what in OUT_OF_RANGE:
        if (function, what) != (compression.rate, "half"):  # 1.5 bits are fine
            assert isinstance(outcome(function, arguments | {name: ODD[what]}), TinyaeError), what


@pytest.mark.parametrize("widths", [(0.1, 0), (0.1, -1.0), (math.nan,), (), 0.1, [math.inf]])
def test_a_bandwidth_is_a_number_above_0(widths):
    with pytest.raises(TinyaeError, match="bandwidths: expected one or more numbers above 0, got "):
        parzen.parzen(X, X, X, widths)


@pytest.mark.parametrize("make", [lambda: probe.LinearProbe(2), lambda: dense_probe.DenseProbe(2)])
def test_a_probe_that_has_learned_nothing(make):
    with pytest.raises(TinyaeError, match="Probe is not fitted: call fit"):
        make().predict(Z)


def test_a_picture_that_memory_cannot_hold_is_refused(tmp_path):
    with pytest.raises(TinyaeError, match="not enough memory: a picture of .* give a smaller scale"):
        plot.samples(tmp_path / "a.png", X)
        plot.grid(tmp_path / "a.png", X, scale=2**20)
