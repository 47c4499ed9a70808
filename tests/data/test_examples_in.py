"""Where examples come in: by position in any form, of one shape, on the scale of the training data, or refused."""

import warnings

import numpy as np
import pytest
from checkpoint_files import rewrite

import tinyae
from tinyae import cli, explore, models
from tinyae.data import Dataset, Split
from tinyae.errors import DataError, ShapeError
from tinyae.evaluation import anomaly, compression, coverage, disentanglement, frechet, likelihood, neighbours, quality
from tinyae.evaluation.parzen import parzen

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (40, 4, 4, 1), dtype=np.uint8)
ROWS = RNG.normal(size=(30, 3)).astype("float32")


def fit(model, data, **options):
    return tinyae.fit(model, data, **{"epochs": 1, "batch_size": 20, "progress": False} | options)


def of_rows(**options):
    return models.VAE(**dict(input_shape=(3,), latent_dim=2, hidden=(4,), likelihood="gaussian") | options)


def of_images(make=models.VAE, **options):
    return make(**dict(input_shape=(4, 4, 1), latent_dim=2) | options)


@pytest.fixture(scope="module")
def of_bytes():
    """A model of any range, trained on bytes."""
    model = models.ConvAE(input_shape=(4, 4, 1), loss="mse")
    fit(model, BYTES)
    return model


# by position


def forms(x):
    """{name: x in another form}, a shuffled index among them."""
    pandas, torch = pytest.importorskip("pandas"), pytest.importorskip("torch")
    index = np.random.default_rng(1).permutation(len(x))
    found = {"list": x.tolist(), "tuple": tuple(map(tuple, x.tolist())), "tensor": torch.tensor(x)}
    frame = pandas.DataFrame(x, index=index, columns=[f"column {i}" for i in range(x.shape[1])])
    mixed = frame.astype("float64").assign(**{"column 1": frame["column 1"].astype("Float64")})
    return found | {"frame": frame, "of several dtypes": mixed, "needs a gradient": torch.tensor(x, requires_grad=True)}


@pytest.mark.parametrize("form", ("list", "tuple", "tensor", "frame", "of several dtypes", "needs a gradient"))
def test_any_form_is_taken_by_position(form):
    x, model = forms(ROWS)[form], of_rows()
    expected = model.encode(ROWS)
    np.testing.assert_array_equal(model.encode(x), expected)
    np.testing.assert_array_equal(model.reconstruct(x), model.reconstruct(ROWS))
    assert model.loss({"x": x}) == model.loss({"x": ROWS})
    np.testing.assert_array_equal(Split(x).x, ROWS)
    losses = [fit(of_rows(), data, validation=0.2).records[0]["validation"]["loss"] for data in ({"x": x}, ROWS)]
    assert losses[0] == losses[1]
    values = [likelihood.importance_weighted(model, data, 2).values for data in (x, ROWS)]
    np.testing.assert_array_equal(*values)
    np.testing.assert_array_equal(quality.errors(model, x), quality.errors(model, ROWS))


@pytest.mark.parametrize("form", ("list", "tuple", "tensor", "frame"))
def test_codes_may_have_any_form(form):
    codes, model = ROWS[:, :2], of_rows()
    x = forms(codes)[form]
    np.testing.assert_array_equal(model.decode(x), model.decode(codes))
    near = neighbours.nearest_neighbours
    np.testing.assert_array_equal(near(x, x, 2)[0], near(codes, codes, 2)[0])
    assert frechet.frechet(x, x) == frechet.frechet(codes, codes)
    assert coverage.coverage(x, x) == 1
    np.testing.assert_array_equal(explore.plane(3, 2, codes=x)[0], explore.plane(3, 2, codes=codes)[0])


def test_a_column_may_be_called_test_or_origin():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, columns=["test", "origin", "validation"])
    assert list(fit(of_rows(), frame).records[0]) == ["epoch", "step", "lr", "train", "kl_per_dimension"]


# the shape


def test_sizes_that_are_equal_are_no_equal_shapes():
    with pytest.raises(
        ShapeError, match=r"^conv-vae: .* got \(2, 3, 8, 8\): its channels come first, give x.transpose"
    ):
        models.ConvVAE(input_shape=(8, 8, 3)).encode(np.zeros((2, 3, 8, 8), "uint8"))
    model = of_images(input_shape=(2, 8, 1))
    for shape in ((8, 2, 1), (2, 4, 2), (1, 2, 8), (2, 8, 1, 1), (16, 1)):
        x = np.zeros((2, *shape), "uint8")
        for entry in (model.encode, model.reconstruct, lambda x: model.loss({"x": x}), lambda x: fit(model, x)):
            with pytest.raises(ShapeError, match=r"^vae: expected x of shape \(N, 2, 8, 1\), got \(2, "):
                entry(x)
    with pytest.raises(ShapeError):
        of_rows().encode(np.zeros((2, 3, 1), "float32"))


def test_flat_rows_and_grey_images_without_a_channel_are_taken():
    model, x = of_images(), BYTES[:5]
    for other in (x.reshape(5, 16), x[..., 0]):
        np.testing.assert_array_equal(model.encode(other), model.encode(x))
        np.testing.assert_array_equal(quality.errors(model, other), quality.errors(model, x))
        assert fit(of_images(), other).steps == 1


# the range


@pytest.mark.parametrize("x", (BYTES.astype("float32"), 2 * (BYTES / 255) - 1, BYTES / 255 + 1e-6))
def test_a_model_of_bytes_refuses_floats_of_another_scale(of_bytes, x):
    for entry in (of_bytes.encode, of_bytes.reconstruct, lambda x: quality.reconstruction_quality(of_bytes, x)):
        with pytest.raises(DataError, match=r"^x has values from .* conv-ae was trained on values in \[0, 1\]"):
            entry(x)


def test_what_it_was_trained_on_is_kept_with_a_model(of_bytes, tmp_path):
    of_bytes.save(tmp_path / "model.npz")
    loaded = tinyae.load(tmp_path / "model.npz")
    assert loaded.trained_on == {"dtype": "uint8", "low": 0.0, "high": 1.0}
    with pytest.raises(DataError, match="from 0 to 255"):
        loaded.encode(BYTES.astype("float32"))
    np.testing.assert_array_equal(loaded.encode(BYTES), of_bytes.encode(BYTES))


def test_a_run_without_it_knows_bytes_by_its_settings(tmp_path):
    fit(models.ConvAE(input_shape=(4, 4, 1), loss="mse"), BYTES, out=tmp_path / "run")
    rewrite(tmp_path / "run" / "last.npz", lambda arrays, meta: meta.pop("trained_on"), tmp_path / "old.npz")
    with pytest.raises(DataError, match="from 0 to 255"):
        tinyae.load(tmp_path / "old.npz").encode(BYTES.astype("float32"))


def test_a_model_of_large_floats_refuses_bytes():
    model = models.ConvAE(input_shape=(4, 4, 1), loss="mse")
    fit(model, BYTES.astype("float32"), lr=1e-9)
    with pytest.raises(DataError, match=r"^conv-ae was trained on values from 0 to 255, and uint8 is scaled to"):
        model.encode(BYTES)


def test_new_rows_of_a_table_may_go_beyond_the_old_ones():
    model = of_rows()
    fit(model, np.clip(ROWS, 0, 1))
    assert np.isfinite(model.encode(3 * ROWS)).all()


@pytest.mark.parametrize("x", [255 * ROWS, -255 * ROWS])
def test_rows_far_beyond_the_old_ones_are_warned_of(x, tmp_path):
    """As where a model was trained on rows that were scaled to [0, 1]: on another scale its numbers mean nothing."""
    model = of_rows()
    fit(model, np.clip(ROWS, 0, 1))
    model.save(tmp_path / "m.npz")
    with pytest.warns(RuntimeWarning, match=r"^x has values .* trained on values from 0 to 1: if they are on another"):
        tinyae.load(tmp_path / "m.npz").encode(x)


def test_a_warning_is_one_line_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit(of_rows(), np.clip(ROWS, 0, 1), out="run")
    np.save("x.npy", 255 * ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert cli.main(["encode", "run", "--data", "x.npy", "--split", "train"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("tinyae: x has values from ") and said.count("\n") == 2  # and the line of what was written


def test_a_loss_of_values_in_the_unit_interval_refuses_others():
    x = BYTES.astype("float32")
    for entry in (lambda batch: models.VAE((4, 4, 1)).loss_and_grads(batch), models.VAE((4, 4, 1)).loss):
        with pytest.raises(DataError, match=r"^the data have values from 0 to 255, but likelihood=bernoulli needs"):
            entry({"x": x})


@pytest.mark.parametrize("make", (models.VAE, models.GAN, models.VAEGAN, models.DenoisingAE))
def test_a_model_of_unit_range_trains_on_no_other(make):
    model = make(input_shape=(4, 4, 1), **({"loss": "mse"} if make is models.DenoisingAE else {}))
    with pytest.raises(DataError, match=r"^the data have values from 0 to 255, but .* needs \[0, 1\]"):
        fit(model, BYTES.astype("float32"))


NAN = np.where(BYTES > 250, np.nan, BYTES / 255).astype("float32")
FIRST = int(np.argwhere(BYTES > 250)[0][0])


@pytest.mark.parametrize(
    "entry",
    [
        lambda x: models.VQVAE(input_shape=(4, 4, 1)).encode(x),
        lambda x: compression.usage(models.VQVAE(input_shape=(4, 4, 1)), x),
        lambda x: models.PixelCNN(input_shape=(4, 4, 1), levels=4, width=4, blocks=1).log_prob(x),
        lambda x: of_images().reconstruct(x),
        lambda x: of_images().loss_and_grads({"x": x}),
        lambda x: likelihood.importance_weighted(of_images(), x, 3),
        lambda x: likelihood.active_units(of_images(), x),
        lambda x: anomaly.scores(of_images(), x),
        lambda x: explore.dimensions(of_images(), x),
        lambda x: models.MixtureVAE(input_shape=(4, 4, 1)).cluster(x),
        lambda x: models.MaskedAE(input_shape=(4, 4, 1)).fill(x, x[..., 0] > 0),
        lambda x: parzen(x, x, x),
        lambda x: fit(of_images(), BYTES, test=x),
        lambda x: fit(of_images(), Dataset("d", Split(BYTES), validation=Split(x))),
    ],
)
def test_nan_is_refused_everywhere(entry):
    with pytest.raises(DataError, match=f"NaN or infinite values, the first in example {FIRST}:"):
        entry(NAN)


def test_codes_with_nan_are_refused():
    z = np.array([[0, 1], [np.nan, 2]])
    for entry in (of_images().decode, lambda z: neighbours.nearest_neighbours(z, z), lambda z: frechet.frechet(z, z)):
        with pytest.raises(DataError, match="NaN or infinite values, the first in example 1"):
            entry(z)


# data that are no array of numbers


@pytest.mark.parametrize(
    "x, message",
    [
        (np.ma.array(ROWS, mask=ROWS > 1), "^x: masked values would be taken for numbers: leave these examples out"),
        ([np.ma.array(row, mask=row > 1) for row in ROWS], "^x: masked values would be taken for numbers"),
        ([[1.0, 2.0, 3.0], [1.0]], r"^x \(list\) is no array of numbers"),
        ([["a", "b", "c"]], r"^x \(list\) is no array of numbers, but of dtype <U1: give plain numbers$"),
        (ROWS.astype(complex), "no array of numbers, but of dtype complex128"),
        (ROWS.astype(object), "no array of numbers, but of dtype object"),
        (
            ROWS.astype("int64"),
            r"takes uint8 or float examples, got int64: give pixels .* x.astype\('uint8'\), and other",
        ),
        (1e39 * ROWS.astype("float64"), "beyond float32: rescale them"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_with_advice(x, message):
    model = of_rows()
    for entry in (model.encode, model.reconstruct, lambda x: fit(model, x), lambda x: fit(model, ROWS, test=x)):
        with pytest.raises(DataError, match=message) as caught:
            entry(x)
        assert "\n" not in str(caught.value)


def test_a_mask_that_hides_nothing_is_no_harm():
    np.testing.assert_array_equal(of_rows().encode(np.ma.array(ROWS)), of_rows().encode(ROWS))


def test_masked_values_are_refused_by_functions_of_codes():
    masked = np.ma.array(ROWS, mask=ROWS > 1)
    factors = np.arange(60).reshape(30, 2) % 5
    for entry in (
        lambda: Split(masked),
        lambda: of_rows().decode(masked[:, :2]),
        lambda: neighbours.nearest_neighbours(masked, ROWS),
        lambda: anomaly.roc_auc(masked[:, 0], ROWS[:, 0] > 0),
        lambda: disentanglement.mig(masked, factors),
        lambda: explore.linear(masked[0], masked[1], 3),
        lambda: of_rows().standardize(masked),
    ):
        with pytest.raises(DataError, match="masked values would be taken for numbers"):
            entry()


@pytest.mark.parametrize(
    "data, message",
    [
        ("mnist", r"^'mnist' is a name, not data: give tinyae.data.load\('mnist'\)$"),
        ({"data": ROWS}, "^a dict of data needs 'x', and may have 'labels', got data$"),
        ({"x": ROWS, "y": [0, 1]}, "^a dict of data needs 'x', and may have 'labels', got x, y$"),
        ((ROWS, ROWS, ROWS), r"^a tuple of data is \(x, labels\), got 3 items"),
    ],
)
def test_data_of_no_known_form_are_refused(data, message):
    with pytest.raises(DataError, match=message):
        fit(of_rows(), data)


# before the first step


@pytest.mark.parametrize(
    "test, error",
    [
        (BYTES[:, :2], ShapeError),
        (BYTES.astype("float32"), DataError),
        (BYTES.astype("int64"), DataError),
        (BYTES[:0], DataError),
        (np.full((3, 4, 4, 1), np.nan), DataError),
    ],
)
@pytest.mark.parametrize("role", ("test", "validation"))
def test_data_to_judge_by_are_refused_before_the_first_step(test, error, role, tmp_path):
    model, before = of_images(), of_images().store.flat.copy()
    with pytest.raises(error):
        if role == "test":
            fit(model, BYTES, test=test, out=tmp_path / "run")
        else:
            fit(model, Dataset("d", Split(BYTES), validation=Split(test)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    np.testing.assert_array_equal(model.store.flat, before)
    assert model.trained_on is None


# the command line


def test_commands_refuse_other_shapes_and_scales(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wide = RNG.integers(0, 256, (20, 4, 8, 1), dtype=np.uint8)
    files = {"flat": wide.reshape(20, 32), "wide": wide, "tall": wide.reshape(20, 8, 4, 1)}
    for name, x in (files | {"floats": wide.astype("float32") / 300}).items():
        np.save(f"{name}.npy", x)
    model = models.ConvAE(input_shape=(4, 8, 1), loss="mse")
    fit(model, wide, out="run", test=wide)
    fit(models.ConvAE(input_shape=(4, 8, 1), loss="mse"), wide.astype("float32"), out="large")
    for command in (["evaluate"], ["encode", "--out", "c.npz"], ["reconstruct", "--out", "r.npy"]):
        assert cli.main([command[0], "run", "--data", "tall.npy", *command[1:]]) == 2
        said = capsys.readouterr().err
        assert said.startswith("tinyae: conv-ae: expected x of shape (N, 4, 8, 1), got (") and said.count("\n") == 1
        assert cli.main([command[0], "large", "--data", "wide.npy", *command[1:]]) == 2
        said = capsys.readouterr().err
        assert said.startswith("tinyae: conv-ae was trained on values from 0 to 255, and uint8 is scaled to [0, 1]")
        assert cli.main([command[0], "run", "--data", "floats.npy", *command[1:]]) == 0
        capsys.readouterr()
    pytest.importorskip("PIL")
    assert cli.main(["reconstruct", "run", "--data", "flat.npy", "--out", "r.png"]) == 0
