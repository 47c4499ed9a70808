"""Rows (N, D): every dense model takes them, from `fit` and from the command line; standardised columns are kept."""

import json

import numpy as np
import pytest
from checkpoint_files import rewrite

import tinyae
from tinyae import cli, models
from tinyae.checkpoint import files as checkpoint
from tinyae.data.standardization import BLOCK, Standardization
from tinyae.errors import CheckpointError, ConfigError, DataError, ShapeError
from tinyae.models import NAMES

D = 5
DENSE = [name for name, model in NAMES.items() if "hidden" in model(input_shape=(4, 4, 1)).config and name != "gan"]
MEANS, SPREADS = np.array([1e4, -3, 0.001, 42, 0]), np.array([2e3, 0.5, 1e-5, 0, 1])


@pytest.fixture
def table():
    """Two hidden causes behind five columns of different units, one of them constant: (60, 5) float32."""
    rng = np.random.default_rng(0)
    columns = np.tanh(rng.normal(size=(60, 2)) @ rng.normal(size=(2, D))) + 0.1 * rng.normal(size=(60, D))
    return (MEANS + SPREADS * columns).astype("float32")


def gaussian(model, **options):
    """A small model for values of any range."""
    name = "likelihood" if "likelihood" in model(input_shape=(D,)).config else "loss"
    return model(input_shape=(D,), latent_dim=2, hidden=(6,), **{name: {"loss": "mse"}.get(name, "gaussian")} | options)


def fit(model, x, **options):
    return tinyae.fit(model, x, **{"epochs": 3, "batch_size": 20, "progress": False, "standardize": True} | options)


# data/standardization.py


def test_columns_get_mean_zero_and_deviation_one(table):
    found = Standardization.of(table, models.VAE(**SMALL_VAE).backend)
    y = found.apply(table.astype("float64"))
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(y.std(axis=0), [1, 1, 1, 0, 1], rtol=1e-9)
    np.testing.assert_allclose(found.undo(y), table, rtol=1e-12)


SMALL_VAE = dict(input_shape=(D,), latent_dim=2, hidden=(6,), likelihood="gaussian")


@pytest.mark.parametrize("value", (0.0, 0.1, -1e30, 1e-30, 16_777_217))
def test_a_constant_column_becomes_zero_and_comes_back(value):
    x = np.full((7, 1), value, "float32")
    found = Standardization.of(x, models.VAE(**SMALL_VAE).backend)
    np.testing.assert_array_equal(found.scale, 1)
    np.testing.assert_array_equal(found.apply(x), 0)
    np.testing.assert_array_equal(found.undo(found.apply(x)), x)


def test_bytes_are_values_from_zero_to_one():
    found = Standardization.of(np.array([[0, 255], [255, 255]], "uint8"), models.VAE(**SMALL_VAE).backend)
    np.testing.assert_allclose(found.mean, [0.5, 1])
    np.testing.assert_allclose(found.scale, [0.5, 1])


def test_more_rows_than_a_block_far_from_zero():
    """Taken from sums of squares, the deviation of 1e6 + N(0, 1) would be all rounding in float32."""
    x = (1e6 + np.random.default_rng(0).normal(size=(BLOCK + 100, 2))).astype("float32")
    found = Standardization.of(x, models.VAE(**SMALL_VAE).backend)
    np.testing.assert_allclose(found.mean, x.mean(axis=0, dtype="float64"), rtol=1e-12)
    np.testing.assert_allclose(found.scale, x.std(axis=0, dtype="float64"), rtol=1e-9)


# the models


def test_there_are_dense_models():
    assert {"ae", "sparse-ae", "vae"} <= set(DENSE)


@pytest.mark.parametrize("name", DENSE)
def test_dense_models_take_rows(name, table):
    labels = np.arange(60) % 3
    model = gaussian(NAMES[name], **(dict(classes=3, labelled=30) if name == "semi-aae" else {}))
    data = (table, labels)
    fit(model, data)
    given = {"labels": labels} if name == "cvae" else {}
    assert model.encode(table, **given).shape == (60, model.latent_dim)
    back = model.reconstruct(table, **given)
    assert back.shape == table.shape
    np.testing.assert_allclose(back[:, 3], 42, atol=3)  # the constant column: its mean, and little of scale 1
    assert abs(back[:, 0].mean() - 1e4) < 2e3, "in the data's own units"


def test_what_goes_in_is_standardised_and_what_comes_out_is_not(table):
    plain, model = (models.VAE(**SMALL_VAE, dtype="float64") for _ in range(2))
    model.standardize(table)
    y = model.standardization.apply(table.astype("float64"))
    np.testing.assert_array_equal(model.encode(table), plain.encode(y))
    np.testing.assert_array_equal(model.reconstruct(table), model.standardization.undo(plain.reconstruct(y)))
    z = np.ones((3, 2))
    np.testing.assert_array_equal(model.decode(z), model.standardization.undo(plain.decode(z)))
    np.testing.assert_array_equal(model.sample(4), model.standardization.undo(plain.sample(4)))
    (terms, grads), (expected, expected_grads) = model.loss_and_grads({"x": table}), plain.loss_and_grads({"x": y})
    assert terms == expected
    for key, gradient in expected_grads.items():
        np.testing.assert_array_equal(grads[key], gradient)


def test_the_statistics_are_those_of_the_training_part(table):
    """Neither the validation share nor the test rows may enter."""
    x = table.copy()
    x[:, 4] = np.arange(60)
    model = models.VAE(**SMALL_VAE)
    fit(model, x, validation=0.5, test=9 * x, seed=1)
    held = set(range(60)) - {round(v) for v in np.array(_training_rows(x, 0.5, seed=1))[:, 4]}
    kept = sorted(set(range(60)) - held)
    assert len(kept) == 30
    np.testing.assert_allclose(model.standardization.mean, x[kept].mean(axis=0, dtype="float64"), rtol=1e-6)


def _training_rows(x, fraction, seed):
    from tinyae.training.prepared import hold_out

    return hold_out(x, None, fraction, seed)[0][0]


def test_the_test_part_is_judged_in_the_same_units(table):
    """A table's loss on itself as test part is its training loss: both are standardised, and by one mean."""
    model = gaussian(models.AE)
    records = fit(model, table, test=table, epochs=1, lr=1e-30).records
    assert records[0]["test"]["loss"] == pytest.approx(records[0]["train"]["loss"], rel=1e-4)


# checkpoints


def test_standardisation_is_part_of_the_checkpoint(table, tmp_path):
    model = models.VAE(**SMALL_VAE)
    fit(model, table, out=tmp_path / "run")
    model.save(tmp_path / "saved.npz")
    for path in (tmp_path / "run" / "last.npz", tmp_path / "saved.npz"):
        loaded = tinyae.load(path)
        np.testing.assert_array_equal(loaded.standardization.mean, model.standardization.mean)
        np.testing.assert_array_equal(loaded.standardization.scale, model.standardization.scale)
        assert loaded.standardization.mean.dtype == np.float64
        np.testing.assert_array_equal(loaded.reconstruct(table), model.reconstruct(table))
        np.testing.assert_array_equal(loaded.sample(3), model.sample(3))


def test_a_model_without_it_stays_without(table, tmp_path):
    models.VAE(**SMALL_VAE).save(tmp_path / "plain.npz")
    assert tinyae.load(tmp_path / "plain.npz").standardization is None


def test_a_checkpoint_of_a_device_comes_back_on_the_host(table, tmp_path, strict_device):
    model = models.VAE(**SMALL_VAE, backend="cupy")
    model.standardize(table)
    model.loss_and_grads({"x": table})
    model.save(tmp_path / "device.npz")
    loaded = tinyae.load(tmp_path / "device.npz")
    np.testing.assert_allclose(loaded.reconstruct(table), model.reconstruct(table), rtol=1e-5)


def test_a_cut_standardisation_is_damage(table, tmp_path):
    model = models.VAE(**SMALL_VAE)
    model.standardize(table)
    model.save(tmp_path / "whole.npz")

    def cut(arrays, meta):
        arrays["standardization"] = arrays["standardization"][:-1]

    rewrite(tmp_path / "whole.npz", cut, tmp_path / "cut.npz")
    rewrite(tmp_path / "whole.npz", lambda arrays, meta: arrays.pop("standardization"), tmp_path / "missing.npz")
    for name in ("cut.npz", "missing.npz"):
        with pytest.raises(CheckpointError, match=f"{name} is corrupted: array 'standardization'"):
            tinyae.load(tmp_path / name)


def test_resume_is_exact(table, tmp_path):
    straight, resumed = models.VAE(**SMALL_VAE), models.VAE(**SMALL_VAE)
    fit(straight, table, epochs=4)
    fit(models.VAE(**SMALL_VAE), table, epochs=2, out=tmp_path)
    fit(resumed, table, epochs=4, out=tmp_path, resume=True)
    np.testing.assert_array_equal(resumed.store.flat, straight.store.flat)
    np.testing.assert_array_equal(resumed.reconstruct(table), straight.reconstruct(table))
    assert checkpoint.read(tmp_path / "last.npz").training["settings"]["standardize"] is True


def test_resume_with_and_without_do_not_mix(table, tmp_path):
    fit(models.VAE(**SMALL_VAE), table, out=tmp_path)
    with pytest.raises(ConfigError, match="cannot resume: the run has standardize True"):
        fit(models.VAE(**SMALL_VAE), table, out=tmp_path, resume=True, standardize=False)


# bad input


def test_images_are_refused():
    model = models.VAE(input_shape=(4, 4, 1), likelihood="gaussian")
    with pytest.raises(ConfigError, match=r"^standardize is for rows \(N, D\): vae takes images of shape \(4, 4, 1\)$"):
        fit(model, np.zeros((9, 4, 4, 1), "float32"))


def test_rows_of_another_width_are_refused(table):
    with pytest.raises(ShapeError, match=r"^vae: expected x of shape \(N, 5\), got \(60, 4\)$"):
        models.VAE(**SMALL_VAE).standardize(table[:, :4])


def test_nan_is_refused(table):
    table[7, 2] = np.nan
    with pytest.raises(DataError, match="NaN or infinite values, the first in example 7"):
        fit(models.VAE(**SMALL_VAE), table)


@pytest.mark.parametrize("make, option", [(models.VAE, "likelihood=gaussian"), (models.AE, "loss=mse")])
def test_a_loss_of_unit_range_is_refused(make, option, table):
    model = make(input_shape=(D,))
    with pytest.raises(DataError, match=f"use {option}, best with standardize=True$"):
        fit(model, table, standardize=False)
    with pytest.raises(DataError, match=f"^standardised columns .* use {option}"):
        fit(model, np.random.default_rng(0).random((60, D)))


# the command line


def test_a_table_from_train_to_samples(table, tmp_path, monkeypatch, capsys):
    def tell(*words, code=0):
        """What the command prints, run in this process for speed."""
        assert cli.main([str(word) for word in words]) == code
        return capsys.readouterr()[bool(code)]

    monkeypatch.chdir(tmp_path)
    np.save("table.npy", table)
    words = ("--data", "table.npy", "--set", "likelihood=gaussian", "--set", "hidden=6", "--out", "r")
    tell("train", "vae", *words, "--standardize", "--epochs", 2, "--batch-size", 20)
    assert {path.name for path in (tmp_path / "r").glob("*.png")} == {"codes.png", "columns.png", "curves.png"}
    tell("train", "vae", "--out", "r", "--resume", "--epochs", 3, "--no-pictures")
    assert tinyae.load("r/last.npz").standardization is not None

    answer = json.loads(tell("evaluate", "r", "--json"))
    assert answer["reconstruction"] < 100, "in standard deviations; of the rows as they are it would be millions"
    assert tell("sample", "r", "-n", 9) == "r/samples.npy\n"
    drawn = np.load("r/samples.npy")
    assert drawn.shape == (9, D) and abs(drawn[:, 0].mean() - 1e4) < 5e3
    tell("reconstruct", "r", "--split", "train")
    assert np.load("r/reconstructions.npy").shape == (54, D)
    tell("encode", "r", "--out", "codes.csv")
    assert (tmp_path / "codes.csv").read_text().startswith("z1,z2,parts,rows\n")
    said = tell("sample", "r", "--out", "s.png", code=2)
    assert said == "tinyae: --out s.png: this vae makes table rows, no images: give a .npy or .npz file\n"
    said = tell("train", "conv-vae", *words[:2], "--out", "new", code=2)
    assert said.startswith("tinyae: input_shape: a convolutional model takes images (H, W, C)")


# the picture


def test_columns_show_the_worst(table, tmp_path, monkeypatch):
    from tinyae.plot import columns

    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 50))
    outputs = inputs + np.linspace(0, 2, 50) * rng.normal(size=(200, 50))
    inputs[:, 49] = outputs[:, 49] = 7
    shown = {}

    def keep(path, figure):
        shown["axes"] = figure.axes[0]
        return path

    monkeypatch.setattr("tinyae.plot.table.save", keep)
    columns(tmp_path / "columns.png", inputs, outputs)
    labels = [label.get_text() for label in shown["axes"].get_yticklabels()]
    assert labels == [f"column {i}" for i in range(10, 50)]
    bars = [bar.get_width() for bar in shown["axes"].patches]
    np.testing.assert_allclose(bars, np.linspace(0, 2, 50)[9:49], rtol=0.2)


def test_columns_refuse_what_has_no_spread(tmp_path):
    from tinyae.plot import columns

    with pytest.raises(ConfigError, match="every column is constant"):
        columns(tmp_path / "c.png", np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(ShapeError, match="two tables of one shape"):
        columns(tmp_path / "c.png", np.ones((3, 2)), np.ones((3, 3)))


# large numbers with a small spread


TIMES = np.column_stack([1.7e9 + np.arange(100.0), np.arange(100.0) % 7])


def test_times_in_seconds_are_standardised_in_float64_and_come_back():
    model = models.VAE(input_shape=(2,), likelihood="gaussian")
    model.standardize(TIMES)
    np.testing.assert_allclose(model.standardization.mean, [1_700_000_049.5, 2.95], rtol=1e-15)
    np.testing.assert_allclose(model.standardization.scale, [28.86607004772212, 2.011839953873071], rtol=1e-12)
    y = model.prepare({"x": TIMES})["x"]
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.mean(axis=0, dtype="float64"), 0, atol=1e-6)
    np.testing.assert_allclose(y.std(axis=0, dtype="float64"), 1, rtol=1e-6)
    np.testing.assert_allclose(model.standardization.undo(y), TIMES, atol=1e-5)


@pytest.mark.parametrize("ending", ("csv", "npy"))
def test_a_file_of_times_keeps_them_through_training_and_a_checkpoint(ending, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if ending == "csv":
        np.savetxt("t.csv", TIMES, delimiter=",", fmt="%.17g")
    else:
        np.save("t.npy", TIMES)
    words = "train vae --standardize --set likelihood=gaussian --set hidden=4 --epochs 1 --out r --no-pictures".split()
    assert cli.main([*words, "--data", f"t.{ending}"]) == 0
    model = tinyae.load("r")
    np.testing.assert_allclose(model.standardization.scale, [28.9, 2], rtol=0.1)
    back = model.reconstruct(TIMES)
    assert back.dtype == np.float64
    assert (abs(back - TIMES) < [300, 20]).all()
    capsys.readouterr()


def test_a_checkpoint_of_float32_standardisation_is_read(table, tmp_path):
    """Files of before have mean and scale in the model's dtype, and True under "standardized"."""
    model = models.VAE(**SMALL_VAE)
    model.standardize(table)
    model.save(tmp_path / "new.npz")

    def older(arrays, meta):
        meta["standardized"] = True
        arrays["standardization"] = arrays["standardization"].astype("float32")

    rewrite(tmp_path / "new.npz", older, tmp_path / "old.npz")
    loaded = tinyae.load(tmp_path / "old.npz")
    np.testing.assert_allclose(loaded.standardization.mean, model.standardization.mean, rtol=1e-7)
    assert (abs(loaded.reconstruct(table) - model.reconstruct(table)) < 1e-3 * model.standardization.scale).all()
