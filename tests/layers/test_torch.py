"""PyTorch as the second oracle: its forward and autograd against ours, then whole trainings step by step."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import distributions as D  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch_images import IMAGE_TWINS  # noqa: E402

import tinyae  # noqa: E402
from tinyae import losses, models, optim  # noqa: E402
from tinyae.backend import Noise  # noqa: E402
from tinyae.gradcheck import functions  # noqa: E402
from tinyae.latent import gaussian, kl_forms, mixture, quantize, sparsity  # noqa: E402
from tinyae.layers import REGISTRY  # noqa: E402
from tinyae.losses import adversarial  # noqa: E402
from tinyae.losses import image as image_losses  # noqa: E402
from tinyae.params import child, nest, walk  # noqa: E402

RTOL = {"float32": 2e-5, "float64": 1e-11}  # relative to the largest value of an array
each_dtype = pytest.mark.parametrize("dtype", RTOL)
each_seed = pytest.mark.parametrize("seed", range(3))


pytestmark = pytest.mark.usefixtures("torch_on_one_thread")


def tensors(tree, grad=True):
    """A nested dict of arrays as leaf tensors."""
    if isinstance(tree, dict):
        return {key: tensors(value, grad) for key, value in tree.items()}
    return torch.tensor(tree, requires_grad=grad and tree.dtype.kind == "f")


def assert_close(got, expected, dtype, what=""):
    expected = expected.detach().numpy() if isinstance(expected, torch.Tensor) else expected
    assert got.shape == expected.shape and got.dtype == expected.dtype, what
    # Some gradients are zero except for rounding, as for a bias before BatchNorm; others are of order 1.
    atol = RTOL[dtype] * np.abs(expected).max(initial=0.1)
    np.testing.assert_allclose(got, expected, rtol=0, atol=atol, err_msg=what)


# Layers: twin(layer, params, x, train, rng, state) -> y, for every name in REGISTRY


def elementwise(function):
    return lambda layer, params, x, train, rng, state: function(x)


def batch_norm(layer, p, x, train, rng, state):
    rows = x.reshape(-1, x.shape[-1])
    mean, var = state["mean"].clone(), state["var"].clone()
    y = F.batch_norm(rows, mean, var, p["scale"], p["shift"], train, 1 - layer.momentum, layer.epsilon)
    return y.reshape(x.shape)


def dropout(layer, p, x, train, rng, state):
    if not train:
        return x
    keep = torch.tensor(rng.bernoulli("keep", tuple(x.shape), 1 - layer.rate, "float64")).to(x.dtype)
    return x * keep / (1 - layer.rate)


def constant_channel(layer, p, x, *_):
    return torch.cat((x, p["channel"].expand(*x.shape[:-1], 1)), dim=-1)


def sequential(layer, p, x, train, rng, state):
    for i, inner in enumerate(map(str, range(len(layer.layers)))):
        x = twin_of(layer.layers[i])(layer.layers[i], p[inner], x, train, rng.child(inner), child(state, inner))
    return x


def residual(layer, p, x, train, rng, state):
    name, projection = "projection", layer.projection
    added = twin_of(projection)(projection, p.get(name), x, train, rng.child(name), (state or {}).get(name))
    return added + sequential(layer, p, x, train, rng, state)


def twin_of(layer):
    return TWINS[type(layer).__name__]


TWINS = {
    "BatchNorm": batch_norm,
    "ConstantChannel": constant_channel,
    "Dense": lambda layer, p, x, *_: F.linear(x, p["weight"].T, p.get("bias")),
    "Dropout": dropout,
    "CELU": lambda layer, p, x, *_: F.celu(x, layer.alpha),
    "ELU": lambda layer, p, x, *_: F.elu(x, layer.alpha),
    "Embedding": lambda layer, p, x, *_: F.embedding(x, p["weight"]),
    "Flatten": elementwise(lambda x: x.flatten(1)),
    "GELU": lambda layer, p, x, *_: F.gelu(x, approximate=layer.approximate),
    "LayerNorm": lambda layer, p, x, *_: F.layer_norm(x, x.shape[-1:], p["scale"], p["shift"], layer.epsilon),
    "LeakyReLU": lambda layer, p, x, *_: F.leaky_relu(x, layer.slope),
    "ReLU": elementwise(F.relu),
    "Reshape": lambda layer, p, x, *_: x.reshape(-1, *layer.shape),
    "Residual": residual,
    "Sequential": sequential,
    "SiLU": elementwise(F.silu),
    "Sigmoid": elementwise(torch.sigmoid),
    "Softplus": lambda layer, p, x, *_: F.softplus(x, layer.beta, 1e9 if layer.threshold is None else layer.threshold),
    "Tanh": elementwise(torch.tanh),
} | IMAGE_TWINS


@pytest.mark.parametrize("name", REGISTRY)
def test_every_layer_has_a_twin(name):
    assert name in TWINS, f"write PyTorch's version of {name} into TWINS"


LAYERS = [(layer, shape) for name in TWINS for layer, shape in REGISTRY[name].examples()]


@pytest.mark.parametrize("layer, shape", LAYERS, ids=[f"{layer!r}{shape}" for layer, shape in LAYERS])
@pytest.mark.parametrize("train", (True, False), ids=("train", "eval"))
@each_dtype
@each_seed
def test_layer(layer, shape, train, dtype, seed, n=4):
    rng, noise = np.random.default_rng(seed), Noise(seed).child("layer")

    def draw(shapes):
        return nest(shapes, {k: (0.2 + rng.random(s)).astype(dtype) for k, s in walk(shapes)})

    shapes = layer.param_shapes(shape)
    params, state = draw(shapes), draw(layer.state_shapes(shape))
    x = rng.normal(size=(n, *shape)).astype(dtype)
    if layer.integer_input is not None:
        x = rng.integers(0, layer.integer_input, (n, *shape))
    dy = rng.normal(size=(n, *layer.output_shape(shape))).astype(dtype)

    y, cache = layer.forward(params, x, train, noise, state)
    grads = nest(shapes, {k: np.zeros(s, dtype) for k, s in walk(shapes)})
    dx = layer.backward(params, cache, dy, grads)

    tx, tparams = tensors(x), tensors(params)
    ty = twin_of(layer)(layer, tparams, tx, train, noise, tensors(state, grad=False))
    if ty.requires_grad:
        ty.backward(torch.tensor(dy))
    assert_close(y, ty, dtype, "y")
    if dx is not None:
        assert_close(dx, tx.grad, dtype, "dx")
    for (name, got), (_, parameter) in zip(walk(grads), walk(tparams), strict=True):
        assert_close(got, parameter.grad, dtype, name)


# Losses and the Gaussian latent: name -> (arrays drawn, ours, theirs); their mean is over the batch, as ours


def normal(mu, logvar):
    return D.Normal(mu, torch.exp(logvar / 2))


def kl(q, p, n):
    return D.kl_divergence(q, p).sum() / n


def ours_sample(mu, logvar, noise, cotangent):
    z, cache = gaussian.sample(mu, logvar, noise)
    return (z * cotangent).sum(), *gaussian.sample_backward(cache, cotangent)


def theirs_bce(logits, unit):
    return F.binary_cross_entropy_with_logits(logits, unit, reduction="sum") / len(logits)


def theirs_cross_entropy(logits, labels, weights=None, **options):
    """labels: integers (N, ...), or probabilities (N, ..., K)."""
    rows, labels = logits.flatten(0, -2), labels.flatten() if labels.ndim < logits.ndim else labels.flatten(0, -2)
    weights = None if weights is None else torch.tensor(weights, dtype=logits.dtype)
    return F.cross_entropy(rows, labels, weights, reduction="sum", **options) / len(logits)


def cross_entropy_twin(arguments, **options):
    """Our options and PyTorch's have the same names, but for the weights'."""
    weights = [0.5, 1.0, 2.0, 0.0, 3.0, 1.5]
    return (
        arguments,
        lambda *arrays: losses.cross_entropy_with_logits(*arrays, class_weights=weights, **options),
        lambda *arrays: theirs_cross_entropy(*arrays, weights, **options),
    )


def planes(images):
    """(N, H, W, C) -> (N C, 1, H, W): what conv2d takes with one kernel for all channels."""
    return images.movedim(-1, 1).flatten(0, 1)[:, None]


def theirs_ssim(a, b):
    x, y, n = planes(a), planes(b), len(a)
    weights = torch.exp(-((torch.arange(11, dtype=a.dtype) - 5) ** 2) / (2 * 1.5**2))
    window = torch.outer(weights, weights)[None, None] / weights.sum() ** 2
    mx, my, xx, yy, xy = (F.conv2d(v, window) for v in (x, y, x * x, y * y, x * y))
    luminance = (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4)
    return (1 - luminance * (2 * (xy - mx * my) + 9e-4) / (xx - mx**2 + yy - my**2 + 9e-4)).sum() / n


def theirs_edges(a, b):
    x = planes(b)
    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=a.dtype) / 4
    kernels = torch.stack((sobel, sobel.T))[:, None]
    steps = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernels).square().sum(1, keepdim=True).sqrt()
    return ((1 + 4 * steps) * (planes(a) - x) ** 2).sum() / len(a)


def theirs_kl_to_mixture(z, logvar, scores, means):
    surprise = -D.Normal(means, 1.0).log_prob(z[:, None, :]).sum(dim=2)
    return ((scores.softmax(dim=1) * surprise).sum() - normal(z, logvar).entropy().sum()) / len(z)


def ours_unit(z, cotangent):
    y, cache = quantize.unit(z)
    return (y * cotangent).sum(), quantize.unit_backward(cache, cotangent)


def theirs_sides(a, b):
    real, fake = torch.full_like(a, 0.9), torch.zeros_like(b)
    return theirs_bce(a, real) + theirs_bce(b, fake)


def theirs_kl_to_rate(h):
    active = torch.sigmoid(h).mean(dim=0)
    return kl(D.Bernoulli(torch.full_like(active, 0.1)), D.Bernoulli(active), 1)


FUNCTIONS = {
    "mse": ("a x", losses.mse, lambda a, x: F.mse_loss(a, x, reduction="sum") / len(a)),
    "l1": ("a x", losses.l1, lambda a, x: F.l1_loss(a, x, reduction="sum") / len(a)),
    "bce_with_logits": ("a unit", losses.bce_with_logits, theirs_bce),
    "gaussian_nll": ("a x b", losses.gaussian_nll, lambda a, x, b: -normal(a, b).log_prob(x).sum() / len(a)),
    "laplace_nll": ("a x b", losses.laplace_nll, lambda a, x, b: -D.Laplace(a, b.exp()).log_prob(x).sum() / len(a)),
    "cross_entropy_with_logits": ("logits labels", losses.cross_entropy_with_logits, theirs_cross_entropy),
    "cross_entropy_weighted": cross_entropy_twin("logits labels", ignore_index=2),
    "cross_entropy_smoothed": cross_entropy_twin("logits labels", ignore_index=2, label_smoothing=0.2),
    "cross_entropy_of_probabilities": cross_entropy_twin("logits shares", label_smoothing=0.1),
    "ssim_loss": ("image picture", image_losses.ssim_loss, theirs_ssim),
    "edge_weighted_mse": ("image picture", image_losses.edge_weighted_mse, theirs_edges),
    "sample": ("a b x y", ours_sample, lambda a, b, x, y: ((a + torch.exp(b / 2) * x) * y).sum()),
    "kl_standard": ("a b", gaussian.kl_standard, lambda a, b: kl(normal(a, b), D.Normal(0.0, 1.0), len(a))),
    "kl_to_mean": ("a b c", gaussian.kl_to_mean, lambda a, b, c: kl(normal(a, b), D.Normal(c, 1.0), len(a))),
    "kl_between": ("a b c d", gaussian.kl_between, lambda a, b, c, d: kl(normal(a, b), normal(c, d), len(a))),
    "kl_free_bits": (
        "a b",
        lambda a, b: kl_forms.kl_free_bits(a, b, 0.5),
        lambda a, b: D.kl_divergence(normal(a, b), D.Normal(0.0, 1.0)).mean(dim=0).clamp(min=0.5).sum(),
    ),
    "kl_to_capacity": (
        "a b",
        lambda a, b: kl_forms.kl_to_capacity(a, b, 4.0),
        lambda a, b: (kl(normal(a, b), D.Normal(0.0, 1.0), len(a)) - 4.0).abs(),
    ),
    "kl_to_mixture": ("a b scores means", mixture.kl_to_mixture, theirs_kl_to_mixture),
    "kl_to_uniform": (
        "scores",
        mixture.kl_to_uniform,
        lambda s: kl(D.Categorical(logits=s), D.Categorical(logits=torch.zeros_like(s)), len(s)),
    ),
    "l1_of_code": ("a", sparsity.l1_of_code, lambda a: F.relu(a).sum() / len(a)),
    "kl_to_rate": ("a", lambda a: sparsity.kl_to_rate(a, 0.1), theirs_kl_to_rate),
    "codebook_loss": (
        "book x picks",
        lambda book, x, picks: quantize.codebook_loss(x, book, picks),
        lambda book, x, picks: F.mse_loss(F.embedding(picks, book), x, reduction="sum") / len(x),
    ),
    "commitment_loss": (
        "a x",
        quantize.commitment_loss,
        lambda a, x: F.mse_loss(a, x, reduction="sum") / len(a),
    ),
    "unit": ("a y", ours_unit, lambda a, y: (a / (a.square().sum(1, keepdim=True) + 1e-6).sqrt() * y).sum()),
    "discriminator_loss": ("a b", lambda a, b: adversarial.discriminator_loss(a, b, smoothing=0.1), theirs_sides),
    "generator_loss": ("a", adversarial.generator_loss, lambda a: theirs_bce(a, torch.ones_like(a))),
    "critic_loss": ("a b", adversarial.critic_loss, lambda a, b: (b.sum() - a.sum()) / len(a)),
    "critic_generator_loss": ("a", adversarial.critic_generator_loss, lambda a: -a.sum() / len(a)),
}
CONSTANT = ("x", "y", "unit", "labels", "shares", "picture", "picks")  # arguments without a gradient


def test_every_function_has_a_twin():
    assert set(FUNCTIONS) == set(functions())


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("n", (1, 4))
@each_dtype
@each_seed
def test_function(name, n, dtype, seed):
    rng = np.random.default_rng(seed)
    arguments, ours, theirs = FUNCTIONS[name]
    special = {
        "unit": lambda: rng.random((n, 5)).astype(dtype),
        "labels": lambda: rng.integers(0, 6, (n, 3)),
        "shares": lambda: rng.dirichlet(np.ones(6), (n, 3)).astype(dtype),
        "image": lambda: rng.random((n, 12, 13, 2)).astype(dtype),
        "picture": lambda: rng.random((n, 12, 13, 2)).astype(dtype),
        "logits": lambda: (4 * rng.normal(size=(n, 3, 6))).astype(dtype),
        "scores": lambda: (4 * rng.normal(size=(n, 6))).astype(dtype),
        "means": lambda: rng.normal(size=(6, 5)).astype(dtype),
        "book": lambda: rng.normal(size=(6, 5)).astype(dtype),
        "picks": lambda: rng.integers(0, 6, n),
    }
    arrays = {a: special.get(a, lambda: rng.normal(size=(n, 5)).astype(dtype))() for a in arguments.split()}
    loss, *gradients = ours(*arrays.values())
    leaves = {a: torch.tensor(v, requires_grad=a not in CONSTANT) for a, v in arrays.items()}
    expected = theirs(*leaves.values())
    expected.backward()
    assert_close(loss, expected, dtype, "loss")
    for got, leaf in zip(gradients, [t for a, t in leaves.items() if a not in CONSTANT], strict=True):
        assert_close(got, leaf.grad, dtype)


# Whole models


def mlp(params, part, x):
    """Dense layers with ReLU between them, from parameters by dotted name."""
    weights = [name for name in params if name.startswith(part) and name.endswith("weight")]
    for name in weights:
        x = F.linear(x, params[name].T, params[name.replace("weight", "bias")])
        x = F.relu(x) if name != weights[-1] else x
    return x


def theirs_ae(params, x, noise):
    loss = theirs_bce(mlp(params, "decoder", mlp(params, "encoder", x)), x)
    return {"loss": loss, "reconstruction": loss}


def theirs_vae(params, x, noise):
    mu, logvar = mlp(params, "encoder", x).chunk(2, dim=1)
    rec = theirs_bce(mlp(params, "decoder", mu + torch.exp(logvar / 2) * noise), x)
    divergence = kl(normal(mu, logvar), D.Normal(0.0, 1.0), len(x))
    return {"loss": rec + divergence, "reconstruction": rec, "kl": divergence}


@pytest.fixture(scope="module")
def pictures():
    """Real images, (512, 784) in [0, 1]."""
    x = tinyae.data.load("fashion-mini").train.x[:512]
    return x.reshape(len(x), -1) / 255


@pytest.mark.parametrize("make, theirs", [(models.AE, theirs_ae), (models.VAE, theirs_vae)], ids=("ae", "vae"))
@pytest.mark.parametrize("dtype, rtol, steps", (("float32", 1e-5, 5), ("float64", 1e-10, 50)))
def test_fifty_steps_of_training(make, theirs, dtype, rtol, steps, pictures, batch=64, latent=20):
    """In float64. In float32 five batches are compared at the first parameters: where a gradient is 0 but for rounding,
    Adam makes whole steps of its sign, which no two processors need share."""
    model = make(hidden=(400,), latent_dim=latent, dtype=dtype)
    params = {name: torch.tensor(w.copy(), requires_grad=True) for name, w in model.named_parameters().items()}
    optimizer, their_optimizer = optim.Adam(1e-3), torch.optim.Adam(params.values(), lr=1e-3)
    grads, rng = model.store.like(), np.random.default_rng(0)
    for step in range(steps):
        x = pictures[rng.integers(0, len(pictures), batch)].astype(dtype)
        noise = rng.normal(size=(batch, latent)).astype(dtype)
        terms, named = model.loss_and_grads({"x": x}, {"z": noise} if make.prior.exists else None)
        expected = theirs(params, torch.tensor(x), torch.tensor(noise))
        assert terms.keys() == expected.keys()
        for name, term in terms.items():
            assert float(term) == pytest.approx(expected[name].item(), rel=rtol), f"{name} at step {step}"
        their_optimizer.zero_grad()
        expected["loss"].backward()
        if dtype == "float32" or step == 0:
            for name, parameter in params.items():
                assert_close(named[name], parameter.grad, dtype, name)
        if dtype == "float64":
            grads.fill(nest(grads.shapes, named))
            optimizer.step(model.store, grads)
            their_optimizer.step()
