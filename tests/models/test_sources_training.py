"""A source as an option: `fit` trains as the published implementation does."""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sources import (  # noqa: E402
    drawn,
)

import tinyae  # noqa: E402
from tinyae import cli, models  # noqa: E402
from tinyae.checkpoint import files as checkpoint  # noqa: E402
from tinyae.commands.model_options import as_text, default_options, meanings  # noqa: E402
from tinyae.training.feed import Feed  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


def keras(step, w, lr=1e-2, epsilon=1e-7):
    """Keras 2's rmsprop and adam, by the text of their get_updates."""
    a, m, v, t = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w), 0
    while True:
        g, t = (yield w), t + 1
        if step == "rmsprop":
            a = 0.9 * a + (1.0 - 0.9) * g**2
            w = w - lr * g / (np.sqrt(a) + epsilon)
        else:
            lr_t = lr * (np.sqrt(1.0 - 0.999**t) / (1.0 - 0.9**t))
            m = 0.9 * m + (1.0 - 0.9) * g
            v = 0.999 * v + (1.0 - 0.999) * g**2
            w = w - lr_t * m / (np.sqrt(v) + epsilon)


def pytorch(make, w):
    w = torch.tensor(w.copy(), requires_grad=True)
    optimizer = make([w])
    while True:
        w.grad = torch.tensor((yield w.detach().numpy().copy()))
        optimizer.step()


@pytest.mark.parametrize(
    "options, source",
    [
        ({"optimizer": "rmsprop", "epsilon": 1e-7}, lambda w: keras("rmsprop", w)),
        ({"optimizer": "keras-adam"}, lambda w: keras("adam", w)),
        ({"optimizer": "adam"}, lambda w: pytorch(lambda w: torch.optim.Adam(w, 1e-2), w)),
        ({"optimizer": "adam", "epsilon": 1e-4}, lambda w: pytorch(lambda w: torch.optim.Adam(w, 1e-2, eps=1e-4), w)),
        ({"optimizer": "adamw", "epsilon": 1e-4}, lambda w: pytorch(lambda w: torch.optim.AdamW(w, 1e-2, eps=1e-4), w)),
        (
            {"optimizer": "rmsprop", "epsilon": 1e-4},
            lambda w: pytorch(lambda w: torch.optim.RMSprop(w, 1e-2, alpha=0.9, eps=1e-4), w),
        ),
    ],
)
def test_fit_moves_as_the_frameworks_do(options, source):
    """Six steps of all the data, whose gradients are about as small as epsilon."""
    make = partial(models.AE, (4,), 2, (), loss="mse", dtype="float64")
    ours, theirs, x = make(), make(), 1e-3 * drawn((8, 4))
    tinyae.fit(ours, x, epochs=6, batch_size=8, lr=1e-2, progress=False, **options)
    follow(theirs, source(theirs.store.flat.copy()), 6 * [{"x": x}])
    np.testing.assert_allclose(ours.store.flat, theirs.store.flat, rtol=0, atol=1e-9)


def follow(model, steps, batches, factor=1.0):
    """Move a model as the source's optimiser does on these batches, by `factor` of our gradients."""
    w = next(steps)
    for step, batch in enumerate(batches):
        model.store.flat[...] = w
        w = steps.send(factor * np.concatenate([g.ravel() for g in model.loss_and_grads(batch, step=step)[1].values()]))
    model.store.flat[...] = w


# By model and source: options of a small model, the size of a batch, and the optimiser, as the source's text has them.
TRAININGS = {
    ("vae", "bojone"): (dict(hidden=(4,)), 100, partial(keras, "rmsprop", lr=1e-3)),
    ("class-mean-vae", "bojone"): (dict(hidden=(4,)), 100, partial(keras, "rmsprop", lr=1e-3)),
    ("mixture-vae", "bojone"): (dict(channels=(2,), units=3), 100, partial(keras, "adam", lr=1e-3)),
    ("beta-vae", "disentanglement-lib"): (dict(latent_dim=2), 64, partial(keras, "adam", lr=1e-4, epsilon=1e-8)),
    ("conv-ae", "udacity"): (dict(channels=(2, 2)), 200, partial(keras, "adam", lr=1e-3, epsilon=1e-8)),
    ("denoising-ae", "udacity"): (dict(channels=(2, 2)), 200, partial(keras, "adam", lr=1e-3, epsilon=1e-8)),
    ("vq-vae", "keras"): (dict(latent_dim=2), 128, partial(keras, "adam", lr=1e-3)),
    ("vq-vae", "bojone"): (dict(latent_dim=2), 64, partial(keras, "adam", lr=1e-3)),
    ("pixelcnn", "keras"): (dict(levels=3, width=4), 128, partial(keras, "adam", lr=3e-4)),
    ("pixelcnn", "ritheshkumar95"): (
        dict(levels=3, width=4, blocks=2), 128, partial(pytorch, lambda w: torch.optim.Adam(w, 3e-4)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name, source", TRAININGS)
def test_fit_trains_as_the_source_does(name, source):
    """Two epochs of a batch and one example more. The source's loss is a mean over pixels where Source says so, and its
    epsilon is added to the root of that loss's gradients."""
    options, size, steps = TRAININGS[name, source]
    make = partial(models.NAMES[name], (4, 4, 1), source=source, **options, dtype="float64")
    ours, theirs, x, labels = make(), make(), drawn((size + 1, 4, 4, 1)), np.arange(size + 1) % 10
    theirs.begin({"x": x}, theirs.backend.noise(0))
    feed = Feed(x, labels, theirs.backend, size, 0)
    mean = source not in ("bojone", "disentanglement-lib") or name == "vq-vae"
    follow(theirs, steps(theirs.store.flat.copy()), [*feed.epoch(0), *feed.epoch(1)], 1 / 16 if mean else 1.0)
    assert tinyae.fit(ours, (x, labels), epochs=2, progress=False).steps == 4
    np.testing.assert_allclose(ours.store.flat, theirs.store.flat, rtol=0, atol=1e-9)


def test_every_source_is_trained_in_a_test_and_explained():
    """Those that a model takes; the aae's is above. Its text gives all the values that it stands for."""
    takes = {n: kind for n, kind in models.NAMES.items() if "source" in default_options(kind)}
    pairs = [(n, source) for n, kind in takes.items() for source in kind.sources]
    assert sorted(pairs) == sorted([*TRAININGS, ("aae", "bfarzin")])
    for name, source in pairs:
        text, (options, training, _) = meanings(takes[name])["source"], takes[name].sources[source]
        for option, value in (options | training).items():
            assert f"{option}={as_text(value)}" in text, (name, option)


def test_what_is_given_beside_a_source_holds():
    model = models.VQVAE((8, 8, 3), source="bojone", restart=True)
    kept = {name: model.config[name] for name in ("network", "restart", "relative", "source")}
    assert kept == dict(network="bojone", restart=True, relative=False, source="bojone")
    model, x = models.VAE((3, 3, 1), hidden=(4,), source="bojone"), drawn((8, 3, 3, 1))
    assert tinyae.fit(model, x, epochs=1, batch_size=2, optimizer="sgd", progress=False).steps == 4  # has no epsilon
    assert model.config["init"] == "glorot" and models.VAE((3, 3, 1)).published is None


def test_train_says_how_a_source_is_trained_and_resume_goes_on_so(tmp_path, capsys):
    made = ["train", "vae", "--out", str(tmp_path / "r"), "--no-pictures"]
    options = ["--data", "digits", "--set", "source=bojone", "--set", "hidden=4", "--batch-size", "500"]
    assert cli.main([*made, *options, "--epochs", "1"]) == 0
    assert "trained as in source=bojone: optimizer=rmsprop, epsilon=1e-07\n" in capsys.readouterr().err
    assert cli.main([*made, "--resume", "--epochs", "2"]) == 0
    assert "trained as in" not in capsys.readouterr().err
    settings = checkpoint.find(tmp_path / "r").training["settings"]
    kept = {name: settings[name] for name in ("optimizer", "epsilon", "batch_size", "lr")}
    assert kept == dict(optimizer="rmsprop", epsilon=1e-7, batch_size=500, lr=1e-3)


def test_a_source_is_saved_with_its_model(tmp_path):
    model = models.AAE((3, 3, 1), source="bfarzin", network="small", hidden=(4,), units=(4,))
    model.save(tmp_path / "m.npz")
    loaded = tinyae.load(tmp_path / "m.npz")
    assert loaded.config == model.config and loaded.published.fit["lr"] == 1e-4
    assert [phase.scale for phase in loaded.phases] == [9, 1, 1]


def test_sgd_has_no_epsilon():
    with pytest.raises(tinyae.errors.ConfigError, match="^epsilon: sgd has no epsilon, leave it out$"):
        tinyae.fit(models.AE((4,), 2, ()), drawn((8, 4)), optimizer="sgd", epsilon=1e-7, progress=False)
    with pytest.raises(tinyae.errors.ConfigError, match="^epsilon: expected "):
        tinyae.fit(models.AE((4,), 2, ()), drawn((8, 4)), epsilon=0.0, progress=False)
