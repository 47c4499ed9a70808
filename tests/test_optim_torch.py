"""Optimisers and schedules compared with PyTorch, step by step."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")


from tinyae import optim  # noqa: E402
from tinyae.params import ParamStore  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


OPTIMIZERS = {
    "sgd": (optim.SGD(0.1), lambda w: torch.optim.SGD(w, lr=0.1)),
    "sgd-decay": (optim.SGD(0.1, weight_decay=0.2), lambda w: torch.optim.SGD(w, lr=0.1, weight_decay=0.2)),
    "momentum": (optim.SGD(0.1, momentum=0.9), lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9)),
    "nesterov": (
        optim.SGD(0.1, momentum=0.9, nesterov=True),
        lambda w: torch.optim.SGD(w, lr=0.1, momentum=0.9, nesterov=True),
    ),
    "rmsprop": (optim.RMSprop(0.01), lambda w: torch.optim.RMSprop(w, lr=0.01, alpha=0.9, eps=1e-8)),
    "adam": (optim.Adam(0.01), lambda w: torch.optim.Adam(w, lr=0.01)),
    "adamw": (optim.AdamW(0.01, weight_decay=0.1), lambda w: torch.optim.AdamW(w, lr=0.01, weight_decay=0.1)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimiser_for_twenty_steps(name):
    ours, make = OPTIMIZERS[name]
    rng = np.random.default_rng(0)
    store = ParamStore({"w": (11,)}, dtype="float64")
    store.flat[...] = rng.normal(size=11)
    w = torch.tensor(store.flat.copy(), requires_grad=True)
    theirs, grads = make([w]), store.like()
    for _ in range(20):
        grads.flat[...] = rng.normal(size=11) * 10.0 ** rng.integers(-3, 3, 11)
        w.grad = torch.tensor(grads.flat.copy())
        ours.step(store, grads)
        theirs.step()
        np.testing.assert_allclose(store.flat, w.detach().numpy(), rtol=1e-12, atol=1e-13)


def test_cosine_schedule():
    parameter = torch.zeros(1, requires_grad=True)
    theirs = torch.optim.SGD([parameter], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, T_max=12, eta_min=0.01)
    for step in range(12):
        assert optim.cosine(0.3, 12, floor=0.01)(step) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        schedule.step()
