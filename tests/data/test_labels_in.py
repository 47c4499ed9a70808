"""Where labels come in: by position in any form, integers that number the classes from 0, or refused with advice."""

import numpy as np
import pytest

import tinyae
from tinyae import cli, explore, models
from tinyae.data import Dataset, Split
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.evaluation import anomaly, clustering, diversity, likelihood, quality
from tinyae.evaluation.dense_probe import DenseProbe
from tinyae.evaluation.probe import LinearProbe
from tinyae.training.prepared import as_split, hold_out, leave_out

N = 30
X = np.random.default_rng(0).integers(0, 256, (N, 3, 3, 1), dtype=np.uint8)
LABELS = np.random.default_rng(1).permutation(np.arange(N) % 3)
LABELLED = (models.CVAE, models.ClassMeanVAE)


def of(make=models.CVAE, classes=3):
    return make(input_shape=(3, 3, 1), latent_dim=2, hidden=(4,), classes=classes)


def fit(model, data, **options):
    return tinyae.fit(model, data, **{"epochs": 1, "batch_size": 20, "progress": False} | options)


def form(name):
    """LABELS as something else than an array; a Series has a shuffled index."""
    if name in ("series", "nullable", "category", "frame"):
        pandas = pytest.importorskip("pandas")
        series = pandas.Series(LABELS, index=np.random.default_rng(2).permutation(N))
        return {"nullable": lambda: series.astype("Int64"), "category": lambda: series.astype("category")}.get(
            name, lambda: series
        )()
    if name == "tensor":
        return pytest.importorskip("torch").tensor(LABELS)
    return {"list": LABELS.tolist(), "tuple": tuple(LABELS), "bytes": LABELS.astype("uint8")}[name]


FORMS = ("list", "tuple", "bytes", "series", "nullable", "category", "tensor")


@pytest.mark.parametrize("name", FORMS)
def test_any_form_is_taken_by_position(name):
    labels, model = form(name), of()
    np.testing.assert_array_equal(as_split((X, labels))[1], LABELS)
    np.testing.assert_array_equal(Split(X, labels).labels, LABELS)
    z = model.encode(X, LABELS)
    np.testing.assert_array_equal(model.encode(X, labels), z)
    np.testing.assert_array_equal(model.decode(z, labels), model.decode(z, LABELS))
    np.testing.assert_array_equal(model.reconstruct(X, labels), model.reconstruct(X, LABELS))
    np.testing.assert_array_equal(model.sample(N, labels=labels), model.sample(N, labels=LABELS))
    assert model.loss({"x": X, "labels": labels}) == model.loss({"x": X, "labels": LABELS})
    np.testing.assert_array_equal(quality.errors(model, X, labels), quality.errors(model, X, LABELS))
    bounds = [likelihood.importance_weighted(model, X, 2, some).values for some in (labels, LABELS)]
    np.testing.assert_array_equal(*bounds)
    scores = [anomaly.scores(model, X, some)["elbo"] for some in (labels, LABELS)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("name", FORMS)
def test_training_takes_any_form_by_position(name):
    labels = form(name)
    (_, kept), (_, held) = hold_out(*as_split((X, labels)), 0.3, seed=0)
    (_, kept_true), (_, held_true) = hold_out(X, LABELS, 0.3, seed=0)
    np.testing.assert_array_equal(kept, kept_true)
    np.testing.assert_array_equal(held, held_true)
    np.testing.assert_array_equal(leave_out(*as_split((X, labels)), 2)[0], X[LABELS != 2])
    models_of = [of(), of()]
    for model, some in zip(models_of, (labels, LABELS), strict=True):
        fit(model, (X, some), validation=0.3, without_class=2, test={"x": X, "labels": some})
    np.testing.assert_array_equal(*(model.store.flat for model in models_of))


@pytest.mark.parametrize("name", FORMS)
def test_evaluation_takes_any_form_by_position(name):
    labels, codes = form(name), np.random.default_rng(0).normal(size=(N, 2)) + LABELS[:, None]
    assert LinearProbe(3).fit(codes, labels).score(codes, labels) == LinearProbe(3).fit(codes, LABELS).score(
        codes, LABELS
    )
    assert clustering.clustering_accuracy(labels, labels)[0] == 1
    np.testing.assert_array_equal(diversity.shares(labels, 3), [1 / 3] * 3)
    np.testing.assert_array_equal(explore.transfer(of(), X, labels, [2, 0]), explore.transfer(of(), X, LABELS, [2, 0]))


@pytest.mark.parametrize("make", LABELLED)
@pytest.mark.parametrize("one", (2, np.int64(2), np.array(2)))
def test_one_label_may_stand_for_all(make, one):
    model, z, all_of_it = of(make), np.ones((4, 2)), np.full(4, 2)
    np.testing.assert_array_equal(model.styled(z, one), model.styled(z, all_of_it))
    np.testing.assert_array_equal(model.style(X[:4], one), model.style(X[:4], all_of_it))
    np.testing.assert_array_equal(model.sample(4, labels=one), model.sample(4, labels=all_of_it))


def test_a_range_is_labels():
    np.testing.assert_array_equal(of().encode(X[:3], range(3)), of().encode(X[:3], np.arange(3)))
    np.testing.assert_array_equal(of(models.AAE).draw_prior(3, labels=range(3)).shape, (3, 2))


# refusals


MASKED = np.ma.array(LABELS, mask=LABELS == 2)


@pytest.mark.parametrize(
    "labels, error, message",
    [
        (MASKED, DataError, "^labels: masked values would be taken for numbers: leave these examples out"),
        (LABELS / 2, DataError, "^cvae: labels are integers that number the classes from 0, got float64$"),
        (
            np.array(list("abc"))[LABELS],
            DataError,
            r"^labels \(ndarray\) .* dtype <U1: number the classes: names, labels =",
        ),
        (LABELS[:-1], ShapeError, r"^cvae: expected a label for each of 30 examples, got shape \(29,\)$"),
        (LABELS[:, None], ShapeError, r"^cvae: expected .* label .*got shape \(30, 1\)$"),
        (LABELS - 1, DataError, "^cvae has 3 classes, so labels are 0 to 2, got -1 to 1: use labels of that range"),
        (LABELS + 1, DataError, "^cvae has 3 classes, so labels are 0 to 2, got 1 to 3: use labels of that range"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, error, message):
    model = of()
    calls = [lambda: model.encode(X, labels), lambda: model.decode(np.zeros((N, 2)), labels)]
    calls += [lambda: model.loss_and_grads({"x": X, "labels": labels}), lambda: model.sample(N, labels=labels)]
    calls += [lambda: likelihood.importance_weighted(model, X, 1, labels)] if error is DataError else []
    calls += [lambda: fit(model, (X, labels))] if len(labels) == N else []
    calls += [lambda: fit(model, (X, LABELS), test=(X, labels))] if len(labels) == N else []
    for call in calls:
        with pytest.raises(error, match=message.replace("^cvae: labels are", "^[a-z ]+: labels are")):
            call()


def test_labels_with_gaps_are_refused_before_training(tmp_path):
    with pytest.raises(DataError) as caught:
        fit(of(classes=301), (X, 100 + 100 * LABELS), out=tmp_path / "run")
    assert str(caught.value) == (
        "cvae: the labels 100, 200, 300 are 3 of 301 classes, and the others have no examples: number the classes from "
        "0, by names, labels = numpy.unique(labels, return_inverse=True)"
    )
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "classes, labels, said", [(4, LABELS + 1, "class 0 of 0 to 3"), (6, LABELS, "classes 3, 4, 5 of")]
)
def test_classes_without_examples_are_named(classes, labels, said, capsys):
    fit(of(classes=classes), (X, labels), progress=True)
    assert f"there are no examples of {said}" in capsys.readouterr().err
    fit(of(classes=3), (X, LABELS), progress=True, without_class=1)
    assert "no examples" not in capsys.readouterr().err


def test_the_command_refuses_labels_with_gaps(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.savez("gaps.npz", x=X, y=100 + 100 * LABELS)
    assert cli.main(["train", "cvae", "--data", "gaps.npz", "--set", "hidden=4", "--out", "run"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("tinyae: cvae: the labels 100, 200, 300 are 3 of 301 classes")
    assert not (tmp_path / "run").exists()


def test_labels_of_a_test_part_are_looked_at_before_the_first_step(tmp_path):
    for test, error in ((X, ConfigError), ((X, LABELS + 1), DataError), ((X, LABELS - 1), DataError)):
        with pytest.raises(error, match="^(the [a-z]+ split: )?cvae (needs labels|has 3 classes)"):
            fit(of(), (X, LABELS), test=test, out=tmp_path / "run")
        data = Dataset("d", Split(X, LABELS), validation=Split(*test) if isinstance(test, tuple) else Split(test))
        with pytest.raises(error, match="^(the [a-z]+ split: )?cvae (needs labels|has 3 classes)"):
            fit(of(), data, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("make", (LinearProbe, DenseProbe))
def test_probes_refuse_labels_that_are_no_classes(make):
    codes = np.random.default_rng(0).normal(size=(N, 2))
    for labels in (LABELS - 1, LABELS + 1):
        with pytest.raises(DataError, match="^a probe has 3 classes, so labels are 0 to 2, got"):
            make(3).fit(codes, labels)
    probe = LinearProbe(3).fit(codes, LABELS)
    for labels, error in (
        (LABELS - 1, DataError),
        (LABELS + 1, DataError),
        (LABELS[1:], ShapeError),
        (MASKED, DataError),
    ):
        with pytest.raises(error):
            probe.score(codes, labels)
    with pytest.raises(DataError, match="^shares has 3 classes"):
        diversity.shares(LABELS - 1, 3)


def test_labels_for_a_model_that_knows_none_are_refused():
    with pytest.raises(ConfigError, match="^pixelcnn was trained without labels"):
        models.PixelCNN(input_shape=(2, 2), levels=3, width=4, blocks=1).sample(2, labels=[0, 1])


def test_unsigned_labels_do_not_wrap_around():
    with pytest.raises(DataError, match="^the data: labels number the classes from 0, got 18446744073709551615$"):
        Split(X, np.full(N, 2**64 - 1, "uint64"))
