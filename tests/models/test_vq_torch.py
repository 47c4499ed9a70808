"""Trainings of `vq-vae` compared with PyTorch: same weights, images and candidates for restarts; 50 steps of Adam."""

import math

import numpy as np
import pytest
from steps import run

torch = pytest.importorskip("torch")

from test_conv_torch import conv, first  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import models, optim  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")

BATCH = 2


@pytest.fixture(scope="module")
def pictures():
    """Real images, (256, 28, 28, 3) in [0.1, 0.9]: three grey ones are the channels of one.

    Not 0: with biases of 0 the first vectors would be 0 too, and equally near to all codes of one length.
    """
    x = 0.1 + 0.8 * (tinyae.data.load("fashion-mini").train.x[:768] / 255)
    return x.reshape(256, 3, 28, 28).transpose(0, 2, 3, 1)


# Networks: functions of (parameters by name, running statistics by name, x (N, C, H, W), the image's (H, W))


def transpose(p, name, x, size, stride=2):
    """Cut to `size` what a transposed convolution gives, the larger half of an odd number of rows at the end."""
    weight, bias = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous(), p[f"{name}.bias"]
    cut = [max((math.ceil(n / stride) - 1) * stride + weight.shape[2] - n, 0) // 2 for n in size]
    y = F.conv_transpose2d(x, weight, bias, stride)
    return y[:, :, cut[0] : cut[0] + size[0], cut[1] : cut[1] + size[1]]


def half(size):
    return [math.ceil(n / 2) for n in size]


def small_encoder(p, s, x):
    h = F.relu(conv(p, "encoder.0", x, 2))
    return conv(p, "encoder.4", F.relu(conv(p, "encoder.2", h, 2)))


def small_decoder(p, s, q, size):
    h = F.relu(transpose(p, "decoder.0", q, half(size)))
    return transpose(p, "decoder.4", F.relu(transpose(p, "decoder.2", h, size)), size, 1)


def block(p, name, h):
    return h + conv(p, f"{name}.3", F.relu(conv(p, f"{name}.1", F.relu(h))))


def paper_encoder(p, s, x):
    h = conv(p, "encoder.2", F.relu(conv(p, "encoder.0", x, 2)), 2)
    return block(p, "encoder.4", block(p, "encoder.3", h))


def paper_decoder(p, s, q, size):
    h = block(p, "decoder.1", block(p, "decoder.0", q))
    return transpose(p, "decoder.4", F.relu(transpose(p, "decoder.2", h, half(size))), size)


def norm(p, s, name, h):
    """Moves the mean; torch's variance is that over n - 1, so its running one is not compared."""
    mean, unused = s[f"{name}.mean"], torch.ones_like(s[f"{name}.mean"])
    return F.batch_norm(h, mean, unused, p[f"{name}.scale"], p[f"{name}.shift"], training=True)


def normed_block(p, s, name, h):
    inner = norm(p, s, f"{name}.2", conv(p, f"{name}.1", F.relu(h)))
    return h + conv(p, f"{name}.4", F.relu(inner))


def residual_encoder(p, s, x):
    h = F.relu(norm(p, s, "encoder.1", conv(p, "encoder.0", x, 2)))
    h = norm(p, s, "encoder.4", conv(p, "encoder.3", h, 2))
    for name in ("encoder.5", "encoder.7"):
        h = norm(p, s, f"encoder.{int(name[-1]) + 1}", normed_block(p, s, name, h))
    return normed_block(p, s, "encoder.9", h)


def residual_decoder(p, s, q, size):
    for i in (0, 2, 4):
        q = normed_block(p, s, f"decoder.{i + 1}", norm(p, s, f"decoder.{i}", q))
    h = F.relu(norm(p, s, "decoder.7", transpose(p, "decoder.6", q, half(size))))
    return torch.tanh(transpose(p, "decoder.9", h, size))


NETWORKS = {
    "small": (small_encoder, small_decoder),
    "paper": (paper_encoder, paper_decoder),
    "residual": (residual_encoder, residual_decoder),
}


class Quantiser:
    """Codebooks over vectors (M, D) as published code writes them: `detach`, one-hot products, averages as buffers."""

    def __init__(self, model, p):
        c, state = model.codebook, model.state.named
        self.books, self.residual, self.cosine, self.ema, self.decay = c.books, c.residual, c.cosine, c.ema, c.decay
        self.count, self.restart, self.p = c.codes, c.restart, p
        self.counts = torch.tensor(state["codebook.counts"].copy())
        if self.ema:
            self.weight = torch.tensor(state["codebook.weight"].copy()).reshape(self.books, self.count, -1)
            self.sums = self.weight.clone()
        self.restarts = 0

    def book(self, b):
        if self.ema:
            return self.weight[b]
        return self.p["codebook.weight"].reshape(self.books, self.count, -1)[b]

    def __call__(self, z):
        """-> (q, codebook loss, commitment loss, codes), sums over all vectors."""
        self.seen, outputs, loss, commitment = [], [], 0.0, 0.0
        rest = z
        for b in range(self.books):
            u = rest if self.residual else z.chunk(self.books, dim=1)[b]
            book = self.book(b)
            if self.cosine:
                u, book = (v / (v.square().sum(dim=1, keepdim=True) + 1e-6).sqrt() for v in (u, book))
            codes = ((u[:, None] - book) ** 2).sum(dim=2).argmin(dim=1)
            q = F.embedding(codes, book)
            commitment = commitment + F.mse_loss(u, q.detach(), reduction="sum")
            loss = loss + F.mse_loss(q, u.detach(), reduction="sum")
            outputs.append(q.detach() if self.residual else u + (q - u).detach())
            rest = u - q.detach()
            self.seen.append((u.detach(), F.one_hot(codes, self.count).to(u.dtype), codes))
        q = z + (sum(outputs) - z).detach() if self.residual else torch.cat(outputs, dim=1)
        return q, (0.0 if self.ema else loss), commitment, torch.stack([codes for _, _, codes in self.seen], dim=1)

    @torch.no_grad()
    def update(self, drawn):
        for b, (u, one_hot, _) in enumerate(self.seen):
            self.counts[b] = self.decay * self.counts[b] + (1 - self.decay) * one_hot.sum(dim=0)
            if self.ema:
                self.sums[b] = self.decay * self.sums[b] + (1 - self.decay) * one_hot.T @ u
                n = self.counts[b].sum()
                self.weight[b] = self.sums[b] / ((self.counts[b] + 1e-5) / (n + self.count * 1e-5) * n)[:, None]
            fair = self.counts[b].mean().item()
            for k in range(self.count):
                if self.restart and self.counts[b, k] < 0.01 * fair:
                    vector = u[int(drawn[b][k] * len(u))]
                    self.book(b)[k], self.counts[b, k] = vector, fair
                    if self.ema:
                        self.sums[b, k] = fair * vector
                    self.restarts += 1


def terms_of(model, p, stats, quantiser, x):
    encoder, decoder = NETWORKS[model.config["network"]]
    x = first(2 * x - 1 if model.signed else x)
    z = encoder(p, stats, x)
    n, d, h, w = z.shape
    q, codebook, commitment, codes = quantiser(z.permute(0, 2, 3, 1).reshape(-1, d))
    y = decoder(p, stats, q.reshape(n, h, w, d).permute(0, 3, 1, 2), x.shape[2:])
    terms = {
        "reconstruction": F.mse_loss(y, x, reduction="sum") / n / float(model.state.named["scale.variance"]),
        "codebook": codebook / n,
        "commitment": model.commitment * commitment / n,
    }
    return {"loss": sum(terms.values())} | terms, codes.reshape(n, h, w, -1)


SMALL = dict(input_shape=(15, 12, 1), network="small", codes=16, latent_dim=6, decay=0.6)
PAPER = dict(input_shape=(13, 10, 3), network="paper", codes=12, latent_dim=6, decay=0.6)
RESIDUAL = dict(input_shape=(12, 9, 3), network="residual", codes=10, latent_dim=4, decay=0.6)
SEVERAL = SMALL | dict(input_shape=(11, 8, 1), codes=7, codebooks=2)
CASES = {  # name: (options, whether some codes die and are restarted)
    "default": (dict(codes=48, decay=0.6), True),
    "small": (SMALL, True),
    "small-ema": (SMALL | dict(ema=True), True),
    "small-never-restarted": (SMALL | dict(ema=True, restart=False), False),
    "paper": (PAPER, True),
    "paper-ema": (PAPER | dict(ema=True), True),
    "residual": (RESIDUAL, True),
    "residual-ema": (RESIDUAL | dict(ema=True, codes=24, commitment=1.5), True),
    "grouped": (SEVERAL, True),
    "grouped-ema": (SEVERAL | dict(ema=True), True),
    "residual-codes": (SEVERAL | dict(residual_codes=True), True),
    "residual-codes-ema": (SEVERAL | dict(residual_codes=True, ema=True), True),
    "cosine": (SEVERAL | dict(codebooks=1, codes=12, cosine=True), True),
    "cosine-grouped-ema": (SEVERAL | dict(cosine=True, ema=True), True),
}


@pytest.mark.parametrize("name", CASES)
def test_fifty_steps_of_training_are_pytorchs(name, pictures):
    """All terms, codes and codebooks of every step, every gradient of the first and last, and the last parameters."""
    compare(name, pictures, "float64", 50, 1e-10)


@pytest.mark.parametrize("name", ("small", "small-ema", "paper", "residual", "grouped", "residual-codes", "cosine"))
def test_in_float32_the_codes_are_pytorchs_too(name, pictures):
    """At the first parameters, on 15 batches: Adam may make whole steps of rounding errors."""
    compare(name, pictures, "float32", 15, 2e-5)


def compare(name, pictures, dtype, steps, tolerance):
    options, restarted = CASES[name]
    model, optimizer = models.VQVAE(**options, dtype=dtype), optim.Adam(2e-3)
    model.state.named["scale.variance"][...] = 0.1
    p = {key: torch.tensor(w.copy(), requires_grad=True) for key, w in model.named_parameters().items()}
    stats = {key: torch.tensor(v.copy()) for key, v in model.state.named.items() if key.endswith(".mean")}
    their_optimizer, quantiser = torch.optim.Adam(p.values(), lr=2e-3), Quantiser(model, p)
    grads, rng, (height, width, channels) = model.store.like(), np.random.default_rng(0), model.input_shape
    for step in range(steps):
        x = pictures[rng.integers(0, len(pictures), BATCH), :height, :width, :channels].astype(dtype)
        drawn = rng.random((model.codebook.books, model.code_count))
        noise = model.backend.noise(0, step, {f"codebook.restart.{b}": u for b, u in enumerate(drawn)})
        grads.flat.fill(0)
        terms, net = run(model, model.prepare({"x": x}), noise, grads.tree)
        expected, codes = terms_of(model, p, stats, quantiser, torch.tensor(x))
        np.testing.assert_array_equal(np.stack(net.caches["codebook"][0].codes, axis=1).reshape(codes.shape), codes)
        assert list(terms) == [term for term in expected if not (model.codebook.ema and term == "codebook")]
        for term, value in terms.items():
            assert float(value) == pytest.approx(expected[term].item(), rel=tolerance), f"{term} at step {step}"
        their_optimizer.zero_grad()
        expected["loss"].backward()
        largest = max(float(tensor.grad.abs().max()) for tensor in p.values())
        if dtype == "float32" or step in (0, steps - 1):
            for key, tensor in p.items():
                scale = max(float(tensor.grad.abs().max()), 0.1 * largest)
                np.testing.assert_allclose(grads.named[key], tensor.grad.numpy(), rtol=0, atol=10 * tolerance * scale)
        if dtype == "float32":
            continue
        for key, tensor in p.items():
            # A bias in front of BatchNorm has a gradient of rounding alone, of which Adam would make steps.
            if float(tensor.grad.abs().max()) < 1e-10 * largest:
                assert np.abs(grads.named[key]).max() < 1e-10 * largest
                tensor.grad.zero_()
                grads.named[key][...] = 0
        optimizer.step(model.store, grads)
        model.after_update(model.phases[0], net)
        their_optimizer.step()
        quantiser.update(drawn)
        for b, book in enumerate(model.codebook.weight(model.store.tree["codebook"], model.state.tree["codebook"])):
            np.testing.assert_allclose(book, quantiser.book(b).detach().numpy(), rtol=0, atol=10 * tolerance)
    if dtype == "float64":
        np.testing.assert_allclose(model.state.named["codebook.counts"], quantiser.counts, rtol=tolerance)
        assert (quantiser.restarts > 0) == restarted
        for key, tensor in [*p.items(), *stats.items()]:
            ours = (model.store if key in p else model.state).named[key]
            np.testing.assert_allclose(ours, tensor.detach().numpy(), rtol=0, atol=1e-9)
