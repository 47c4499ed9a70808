"""The VAE family compared with PyTorch: same weights and noise; all terms and gradients, and the weights after Adam."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import distributions as D  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import models, optim  # noqa: E402
from tinyae.params import nest  # noqa: E402

BATCH, STEPS = 16, 6


pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


@pytest.fixture(scope="module")
def data():
    """Real images, every second pixel, (256, 196) in [0, 1], and their classes."""
    train = tinyae.data.load("fashion-mini").train
    return train.x[:256, ::2, ::2].reshape(256, -1) / 255, train.labels[:256]


def mlp(p, part, x, activation=F.relu):
    """Dense layers with an activation between them, from parameters by dotted name."""
    weights = [name for name in p if name.startswith(part) and name.endswith("weight")]
    for name in weights:
        x = F.linear(x, p[name].T, p[name.replace("weight", "bias")])
        x = activation(x) if name != weights[-1] else x
    return x


def bce(logits, x):
    """(N,): minus the log-likelihood of each example."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=-1)


def normal(mu, logvar):
    return D.Normal(mu, torch.exp(logvar / 2))


def latent(p, inputs, noise):
    """q(z|x) as a distribution, and the draw of it."""
    mu, logvar = mlp(p, "encoder", inputs).chunk(2, dim=-1)
    return normal(mu, logvar), mu + torch.exp(logvar / 2) * noise


# Each twin: (p, x, labels, noise, step) -> terms


def importance_weighted(p, x, labels, noise, step):
    """The bound as the definition has it, from densities; autograd finds the weights."""
    k = noise.shape[1]
    mu, logvar = (a[:, None] for a in mlp(p, "encoder", x).chunk(2, dim=-1))
    q, prior = normal(mu, logvar), D.Normal(0.0, 1.0)
    z = mu + torch.exp(logvar / 2) * noise
    nll = bce(mlp(p, "decoder", z), x[:, None].expand(-1, k, -1))
    log_w = prior.log_prob(z).sum(dim=-1) - nll - q.log_prob(z).sum(dim=-1)
    loss = -(torch.logsumexp(log_w, dim=1) - math.log(k)).mean()
    rec, kl = nll.mean(), D.kl_divergence(q, prior).sum(dim=(1, 2)).mean()
    return {"loss": loss, "reconstruction": rec, "kl": kl, "gain": loss - rec - kl}


def beta_vae(weight, price):
    """weight(step) times price(KL of each example and dimension, step)."""

    def terms(p, x, labels, noise, step):
        q, z = latent(p, x, noise)
        each = D.kl_divergence(q, D.Normal(0.0, 1.0))
        rec, kl = bce(mlp(p, "decoder", z), x).mean(), each.sum(dim=1).mean()
        paid = weight(step) * price(each, step)
        return {"loss": rec + paid, "reconstruction": rec, "kl": kl, "penalty": paid - kl}

    return terms


def total(each, step):
    return each.sum(dim=1).mean()


def elbo(q, prior, nll):
    rec, kl = nll.mean(), D.kl_divergence(q, prior).sum(dim=1).mean()
    return {"loss": rec + kl, "reconstruction": rec, "kl": kl}


def cvae(p, x, labels, noise, step):
    y = F.one_hot(labels, 10).to(x.dtype)
    q, z = latent(p, torch.cat((x, y), dim=1), noise)
    return elbo(q, D.Normal(0.0, 1.0), bce(mlp(p, "decoder", torch.cat((z, y), dim=1)), x))


def class_mean_vae(p, x, labels, noise, step):
    q, z = latent(p, x, noise)
    means = F.linear(F.one_hot(labels, 10).to(x.dtype), p["prior.weight"].T, p["prior.bias"])
    return elbo(q, D.Normal(means, 1.0), bce(mlp(p, "decoder", z), x))


def beta(**options):
    return lambda dtype: models.BetaVAE(**DENSE, **options, dtype=dtype)


DENSE = dict(input_shape=(14, 14, 1), hidden=(32,), latent_dim=5)
TWINS = {
    "vae, 2 draws": (lambda dtype: models.VAE(**DENSE, samples=2, dtype=dtype), importance_weighted),
    "vae, 5 draws": (lambda dtype: models.VAE(**DENSE, samples=5, dtype=dtype), importance_weighted),
    "beta": (beta(beta=4.0), beta_vae(lambda t: 4.0, total)),
    "linear warm-up": (beta(beta=2.0, warmup="linear", warmup_steps=4), beta_vae(lambda t: 2 * min(1, t / 4), total)),
    "cyclical warm-up": (
        beta(beta=3.0, warmup="cyclical", warmup_steps=16),
        beta_vae(lambda t: (0.0, 1.5, 3.0, 3.0)[t % 4], total),
    ),
    "capacity": (
        beta(beta=30.0, capacity=12.0, capacity_steps=4),
        beta_vae(lambda t: 30.0, lambda each, t: (total(each, t) - 12 * min(1, t / 4)).abs()),
    ),
    "free bits": (
        beta(beta=1.5, free_bits=1.0),
        beta_vae(lambda t: 1.5, lambda each, t: each.mean(dim=0).clamp(min=math.log(2)).sum()),
    ),
    "cvae": (lambda dtype: models.CVAE(**DENSE, dtype=dtype), cvae),
    "class-mean-vae": (lambda dtype: models.ClassMeanVAE(**DENSE, dtype=dtype), class_mean_vae),
}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("dtype, rtol", (("float32", 2e-5), ("float64", 1e-10)))
def test_training_beside_torch(name, dtype, rtol, data):
    """Steps of Adam in float64; in float32, where Adam may make whole steps of rounding errors, batches at the first
    parameters."""
    make, theirs = TWINS[name]
    model = make(dtype)
    params = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
    optimizer, their_optimizer = optim.Adam(1e-3), torch.optim.Adam(params.values(), lr=1e-3)
    grads, rng = model.store.like(), np.random.default_rng(0)
    shape = (BATCH, model.samples, model.latent_dim) if model.samples > 1 else (BATCH, model.latent_dim)
    for step in range(STEPS):
        rows = rng.integers(0, len(data[0]), BATCH)
        x, labels = data[0][rows].astype(dtype), data[1][rows]
        noise = rng.normal(size=shape).astype(dtype)
        batch = {"x": x, "labels": labels} if model.labels else {"x": x}
        terms, named = model.loss_and_grads(batch, {"z": noise}, step=step)
        expected = theirs(params, torch.tensor(x), torch.tensor(labels), torch.tensor(noise), step)
        assert terms.keys() == expected.keys()
        scale = abs(expected["loss"].item())
        if model.samples > 1:  # a draw's weight is the exponential of a sum of about the loss's size
            rtol = max(rtol, 4 * float(np.finfo(dtype).eps) * scale)
        for term, value in terms.items():
            assert float(value) == pytest.approx(expected[term].item(), abs=rtol * scale), f"{term} at step {step}"
        their_optimizer.zero_grad()
        expected["loss"].backward()
        for parameter, theirs_is in params.items():
            gradient = theirs_is.grad.numpy()
            atol = rtol * np.abs(gradient).max(initial=0.1)
            np.testing.assert_allclose(named[parameter], gradient, rtol=0, atol=atol, err_msg=f"{parameter}, {step}")
        if dtype == "float64":
            grads.fill(nest(grads.shapes, named))
            optimizer.step(model.store, grads)
            their_optimizer.step()
    if dtype == "float64":
        for parameter, value in model.named_parameters().items():
            np.testing.assert_allclose(value, params[parameter].detach().numpy(), rtol=0, atol=1e-9, err_msg=parameter)
