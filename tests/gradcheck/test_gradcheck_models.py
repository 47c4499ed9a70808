"""The gradient checker on a user's own models: sound ones pass, and what a step does wrong gets a line."""

import numpy as np
import pytest
from steps import changed, times

from tinyae import models
from tinyae.gradcheck import gradcheck
from tinyae.layers import Dense
from tinyae.losses import mse
from tinyae.models.context import Network
from tinyae.models.model import Model
from tinyae.traits import Labels


class _Linear(Model):
    """A user's own model: y = x W, of the smallest step there is, with an option that its parents do not have."""

    name, terms = "linear", ("loss",)

    def __init__(self, width, dtype="float32"):
        self.input_shape = (width,)
        self.build({"map": (Dense(width, bias=False), (width,))}, {"units": width}, 0, "numpy", dtype)

    def step(self, net, x):
        y, cache = net.map.forward(x)
        loss, dy = mse(y, x, net.count)
        if net.needs_grads:
            self.add(net.map, cache, dy)
        return {"loss": loss}

    def add(self, network, cache, dy):
        network.add_grads(cache, dy)


class _Assigns(_Linear):
    def add(self, network, cache, dy):
        network.grads["weight"] = cache.T @ dy


class _OverwritesTheStore(_Linear):
    def add(self, network, cache, dy):
        network.grads["weight"][...] = cache.T @ dy


class _AlwaysAdds(_Linear):
    def step(self, net, x):
        y, cache = net.map.forward(x)
        loss, dy = mse(y, x, net.count)
        net.map.grads["weight"] += cache.T @ dy
        return {"loss": loss}


class _IgnoresTheBatchSize(_Linear):
    def step(self, net, x):
        net.count = len(x)
        return super().step(net, x)


class _Denoises(_Linear):
    def step(self, net, x):
        x *= 0.5
        return super().step(net, x)


class _Sgd(_Linear):
    def step(self, net, x):
        outcome = super().step(net, x)
        self.store.flat -= 0.1
        return outcome


class _WantsLabels(_Linear):
    labels = Labels()

    def step(self, net, x, labels):
        return super().step(net, x + 0 * labels)


class _WithoutLoss(_Linear):
    def step(self, net, x):
        return {"error": super().step(net, x)["loss"]}


class _OfOne(_Linear):
    def step(self, net, x):
        return super().step(net, np.squeeze(x))


class _RoundedLoss(_Linear):
    def step(self, net, x):
        def rounded(network, x):
            y, cache = Network.forward(network, x)
            return y.astype("f4").astype("f8"), cache

        changed(net, "map", forward=rounded)
        return super().step(net, x)


MODELS = {
    _Assigns: "the gradient of map.weight is replaced by another array",
    _OverwritesTheStore: "the gradient of map.weight is overwritten",
    _AlwaysAdds: "the step with grads=None raises TypeError",
    _IgnoresTheBatchSize: "the term 'loss' is not halved where batch_size is twice the number of examples",
    _Denoises: "the step changes batch['x']",
    _Sgd: "the step changes map.weight",
    _WantsLabels: "the step raises TypeError: unsupported operand",
    _WithoutLoss: "the step's terms have no 'loss', only 'error'",
    _OfOne: "at a batch of 1, the step raises ShapeError",
    _RoundedLoss: "computes in less than float64: the loss is a staircase along map.weight",
}


@pytest.mark.parametrize("wrong", MODELS, ids=lambda wrong: wrong.__name__)
def test_a_broken_promise_of_a_model_gets_a_line(wrong):
    assert gradcheck(_Linear(3)).passed
    report = gradcheck(wrong(3))
    assert not report.passed and any(line.startswith(MODELS[wrong]) for line in report.faults), report


def test_a_model_is_checked_near_its_own_parameters_and_stays_as_it_is():
    seen = []

    class _Seen(models.AE):
        def step(self, net, x):
            seen.append(abs(self.store.named["encoder.1.weight"]).min())
            return super().step(net, x)

    model = _Seen(input_shape=(4,), latent_dim=2, hidden=(), loss="mse")
    model.store.flat[...] = 5
    assert gradcheck(model, directions=1).passed
    assert min(seen) > 4 and (model.store.flat == 5).all() and model.store.dtype == np.float32


def test_a_state_is_not_checked_at_its_start():
    class _WithoutTheVariance(models.VQVAE):
        def step(self, net, x):
            changed(net, "decoder", backward=times(lambda decoder: net.scale.state["variance"]))
            return super().step(net, x)

    options = dict(input_shape=(5, 4, 1), network="small", codes=3, latent_dim=2)
    assert gradcheck(models.VQVAE(**options), directions=1).passed
    assert not gradcheck(_WithoutTheVariance(**options), directions=1).passed


def test_an_option_of_its_own_beside_those_of_its_parent():
    class _Weighted(models.AE):
        def __init__(self, weight, *args, **options):
            super().__init__(*args, **options)
            self.weight = weight
            self.config |= {"weight": weight}

        def step(self, net, x):
            return {"loss": self.weight * super().step(net, x)["loss"]}

    options = dict(input_shape=(4,), latent_dim=2, hidden=(), loss="mse")
    assert gradcheck(_Weighted(1.0, **options), directions=1).passed
    report = gradcheck(_Weighted(2.0, **options), directions=1)
    assert set(report.wrong) == set(report.arrays) and max(report.arrays.values()) >= 0.5
