"""`loss=ssim` and `loss=edges` of the autoencoders: what they train for, and on what they are refused."""

import numpy as np
import pytest

import tinyae
from tinyae.errors import ConfigError
from tinyae.evaluation.quality import reconstruction_quality
from tinyae.models import NAMES

AUTOENCODERS = [name for name, model in NAMES.items() if issubclass(model, tinyae.models.AE)]


@pytest.mark.parametrize("loss", ("ssim", "edges"))
def test_each_is_better_at_what_it_trains_for(loss):
    data = tinyae.data.load("fashion-mini")
    found = {}
    for name in ("mse", loss):
        model = tinyae.models.AE(latent_dim=8, hidden=(64,), loss=name)
        tinyae.fit(model, data.train.x[:2000], epochs=10, lr=3e-3, progress=False)
        found[name] = reconstruction_quality(model, data.test.x)
    ours, plain = found[loss], found["mse"]
    if loss == "ssim":
        assert ours["ssim"] > plain["ssim"] + 0.1
        assert plain["rms"] < ours["rms"] < 0.3, "the right sign and range, though SSIM hardly asks for them"
    else:
        assert ours["edge_rms"] < plain["edge_rms"]


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_who_takes_them(name):
    batch = {"x": np.random.default_rng(0).random((4, 12, 12, 1), dtype="float32"), "labels": np.arange(4)}
    for loss in ("ssim", "edges"):
        if name == "masked-ae":
            with pytest.raises(ConfigError, match=f"unknown loss '{loss}': .*known: bce, mse, l1$"):
                NAMES[name]((12, 12, 1), loss=loss)
        else:
            model = NAMES[name]((12, 12, 1), loss=loss)
            assert model.unit != "nats" and float(model.loss(batch)["reconstruction"]) > 0


def test_on_what_they_are_refused():
    with pytest.raises(ConfigError, match=r"loss=ssim is for images of 11 pixels .* not \(8, 8, 1\)"):
        tinyae.models.AE((8, 8, 1), loss="ssim")
    for loss in ("ssim", "edges"):
        with pytest.raises(ConfigError, match=rf"loss={loss} is for images .* not \(6,\)"):
            tinyae.models.AE((6,), loss=loss)
    with pytest.raises(ConfigError, match="did you mean 'edges'"):
        tinyae.models.ConvAE(loss="edge")
