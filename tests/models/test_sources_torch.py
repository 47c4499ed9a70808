"""Published presets beside their sources, written here in PyTorch from the sources' text: loss and all gradients."""

from functools import partial

import numpy as np
import pytest
from steps import run

torch = pytest.importorskip("torch")

from test_aae_torch import twin  # noqa: E402
from test_pixelcnn_torch import gated, residual  # noqa: E402
from torch.nn import functional as F  # noqa: E402

import tinyae  # noqa: E402
from tinyae import cli, losses, models  # noqa: E402
from tinyae.checkpoint import files as checkpoint  # noqa: E402
from tinyae.commands.model_options import as_text, default_options, meanings  # noqa: E402
from tinyae.latent import mixture  # noqa: E402
from tinyae.layers.initialisers import fans  # noqa: E402
from tinyae.models.gaussian_codes import GaussianCodes  # noqa: E402
from tinyae.training.feed import Feed  # noqa: E402

pytestmark = pytest.mark.usefixtures("torch_on_one_thread")

TOLERANCE = 1e-9  # float64, of an array's largest value


def tensors(model):
    """The model's parameters by name, as leaves."""
    return {name: torch.tensor(value.copy(), requires_grad=True) for name, value in model.named_parameters().items()}


def drawn(shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def shaken(model, seed=1, amount=0.1):
    """The model with parameters that are no longer at their start: biases and scales, too."""
    rng = np.random.default_rng(seed)
    model.store.flat[...] += amount * rng.normal(size=model.store.flat.size)
    return model


def same_padding(x, kernel, stride):
    """TensorFlow's "same": of an odd number of zeros, the end has one more."""
    pads = []
    for n in reversed(x.shape[2:]):
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)


def conv(p, name, x, stride=1):
    weight = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous()
    return F.conv2d(same_padding(x, weight.shape[2], stride), weight, p[f"{name}.bias"], stride)


def transposed(p, name, x, stride):
    """Keras's Conv2DTranspose, "same": H stride rows."""
    weight = p[f"{name}.weight"].permute(3, 2, 0, 1).contiguous()  # ours (kh, kw, out, in), torch's (in, out, kh, kw)
    whole, n = F.conv_transpose2d(x, weight, p[f"{name}.bias"], stride), x.shape[2] * stride
    first = max(weight.shape[2] - stride, 0) // 2
    return whole[:, :, first : first + n, first : first + n]


def norm(p, name, x, moved):
    """BatchNormalization(): momentum 0.99, epsilon 1e-3, in training."""
    mean, var = torch.zeros(x.shape[1], dtype=x.dtype), torch.ones(x.shape[1], dtype=x.dtype)
    y = F.batch_norm(x, mean, var, p[f"{name}.scale"], p[f"{name}.shift"], True, 1 - 0.99, 1e-3)
    moved[name] = mean.numpy(), var.numpy()
    return y


def quantised(p, z):
    """(straight through, e) of z (N, D, h, w)."""
    codebook, vectors = p["codebook.weight"], z.movedim(1, -1)
    codes = torch.cdist(vectors.reshape(-1, vectors.shape[-1]), codebook).argmin(dim=1)
    e = codebook[codes].reshape(vectors.shape).movedim(-1, 1)
    return z + (e - z).detach(), e


def assert_agrees(model, batch, loss, p, factor, noise=None, constant=0.0):
    """loss: the source's, which is `factor` times ours, up to a constant of ours."""
    loss.backward()
    terms, grads = model.loss_and_grads(batch, noise)
    assert factor * (float(terms["loss"]) - constant) == pytest.approx(loss.item(), rel=TOLERANCE)
    assert grads.keys() == p.keys()
    least = 1e-3 * max(np.abs(leaf.grad.numpy()).max() for leaf in p.values())  # a bias before BatchNorm has 0
    for name, grad in grads.items():
        theirs = p[name].grad.numpy()
        atol = TOLERANCE * max(np.abs(theirs).max(), least)
        np.testing.assert_allclose(factor * grad, theirs, rtol=0, atol=atol, err_msg=name)


# VQ-VAE


def bojone(p, x, moved):
    """vq_vae_keras.py: encoder, decoder and loss; x in [-1, 1]."""

    def block(name, h):
        inner = norm(p, f"{name}.2", conv(p, f"{name}.1", F.relu(h)), moved)
        return h + conv(p, f"{name}.4", F.relu(inner))

    h = F.relu(norm(p, "encoder.1", conv(p, "encoder.0", x, 2), moved))
    h = norm(p, "encoder.4", conv(p, "encoder.3", h, 2), moved)
    h = norm(p, "encoder.6", block("encoder.5", h), moved)
    h = norm(p, "encoder.8", block("encoder.7", h), moved)
    z = block("encoder.9", h)
    q, e = quantised(p, z)
    for i in (0, 2, 4):
        q = block(f"decoder.{i + 1}", norm(p, f"decoder.{i}", q, moved))
    q = F.relu(norm(p, "decoder.7", transposed(p, "decoder.6", q, 2), moved))
    y = torch.tanh(transposed(p, "decoder.9", q, 2))
    mse_x, mse_e, mse_z = ((x - y) ** 2).mean(), ((z.detach() - e) ** 2).mean(), ((e.detach() - z) ** 2).mean()
    return mse_x + mse_e + 0.25 * mse_z


def test_vq_vae_bojone_is_vq_vae_keras_py():
    options = dict(codes=5, latent_dim=4, dtype="float64")
    model, images = shaken(models.VQVAE((8, 8, 3), source="bojone", **options)), drawn((3, 8, 8, 3))
    assert model.code_weight == (8 * 8 * 3) / (2 * 2 * 4)
    p, moved = tensors(model), {}
    loss = bojone(p, torch.tensor(2 * images - 1).movedim(-1, 1), moved)
    assert_agrees(model, {"x": images}, loss, p, 1 / (8 * 8 * 3))
    _, net = run(model, {"x": images}, model.backend.noise(0), model.store.like().tree)
    model.after_update(model.phases[0], net)
    for name, (mean, var) in moved.items():
        np.testing.assert_allclose(model.state.named[f"{name}.mean"], mean, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(model.state.named[f"{name}.var"], var, rtol=1e-9)


def test_of_the_sizes_published_a_codes_terms_weigh_three_eighths():
    model = models.VQVAE((128, 128, 3), source="bojone")
    assert model.code_weight == 0.375 and model.param_count == 1_536_899 - 3_584
    assert models.VQVAE((128, 128, 3), "residual").code_weight == 1


def test_vq_vae_keras_is_the_keras_example():
    model = shaken(models.VQVAE((8, 8, 1), source="keras", codes=6, latent_dim=3, dtype="float64"))
    images, p = drawn((4, 8, 8, 1)), tensors(model)
    variance = model.state.tree["scale"]["variance"]
    model.begin({"x": images}, model.backend.noise(0))
    assert float(variance) == pytest.approx(images.var(), rel=1e-12)
    x = torch.tensor(images - 0.5).movedim(-1, 1)
    z = conv(p, "encoder.4", F.relu(conv(p, "encoder.2", F.relu(conv(p, "encoder.0", x, 2)), 2)))
    q, e = quantised(p, z)
    h = F.relu(transposed(p, "decoder.2", F.relu(transposed(p, "decoder.0", q, 2)), 2))
    y = transposed(p, "decoder.4", h, 1)
    reconstruction = ((x - y) ** 2).mean() / float(variance)
    loss = reconstruction + 0.25 * ((e.detach() - z) ** 2).mean() + ((e - z.detach()) ** 2).mean()
    assert_agrees(model, {"x": images}, loss, p, 1 / 64)
    np.testing.assert_allclose(model.reconstruct(images)[..., 0], y.detach().numpy()[:, 0] + 0.5, atol=1e-9)


@pytest.mark.parametrize("network", ("keras", "bojone"))
def test_sources_of_vq_vae_begin_as_keras_does(network):
    model = models.VQVAE((16, 16, 1), source=network)
    before = model.store.flat.copy()
    weight = model.named_parameters()["codebook.weight"]
    assert 0.049 < np.abs(weight).max() < 0.05
    model.begin({"x": drawn((8, 16, 16, 1))}, model.backend.noise(0))
    np.testing.assert_array_equal(model.store.flat, before)  # no centres of the data
    assert_begins_as_glorot(model)


def test_a_source_of_vq_vae_takes_the_variance_of_all_its_data(device):
    """Other models look at as many images as they compute at once."""
    model = models.VQVAE(source="keras", backend=device.backend)
    assert model.begin_on >= 70_000 > models.VQVAE(network="keras").begin_on
    black = device.array(np.zeros((2, 28, 28, 1), "float32"))
    model.begin({"x": black}, model.backend.noise(0))
    assert 0 < device.host(model.state.tree["scale"]["variance"]) <= 1e-6  # there is none


def assert_begins_as_glorot(model, parted=None):
    """parted: the name of a weight that is those of two layers there, side by side."""
    for name, value in model.named_parameters().items():
        if name.endswith(".bias"):
            assert not value.any(), name
        elif name.endswith(".weight") and not name.startswith(("codebook", "means", "classes")) and value.ndim > 1:
            fan_in, fan_out = fans(value.shape)
            if name == parted:
                fan_out = fan_out / 2
            most = np.sqrt(6 / (fan_in + fan_out))
            assert np.abs(value).max() <= most * (1 + 1e-6), name
            assert value.size < 200 or np.abs(value).max() > 0.9 * most, name


# Autoencoders


@pytest.mark.parametrize("name, channels", [("conv-ae", (16, 8, 8)), ("denoising-ae", (32, 32, 16))])
def test_conv_ae_is_the_notebook_convolutional_autoencoder_solution(name, channels):
    """Of images of 28 pixels its loss is 1/784 of ours."""
    model, images = shaken(models.NAMES[name](source="udacity", dtype="float64")), drawn((2, 28, 28, 1))
    assert tuple(model.config["channels"]) == channels
    p, noise = tensors(model), None
    targets = inputs = torch.tensor(images).movedim(-1, 1)
    if name == "denoising-ae":
        noise = {"noise": np.random.default_rng(2).normal(size=images.shape)}
        inputs = torch.clip(inputs + 0.5 * torch.tensor(noise["noise"]).movedim(-1, 1), 0.0, 1.0)
    conv1 = F.relu(conv(p, "encoder.0", inputs))
    conv2 = F.relu(conv(p, "encoder.3", F.max_pool2d(conv1, 2, ceil_mode=True)))
    conv3 = F.relu(conv(p, "encoder.6", F.max_pool2d(conv2, 2, ceil_mode=True)))
    encoded = F.max_pool2d(conv3, 2, ceil_mode=True)
    conv4 = F.relu(conv(p, "decoder.2", F.interpolate(encoded, (7, 7))))
    conv5 = F.relu(conv(p, "decoder.5", F.interpolate(conv4, (14, 14))))
    conv6 = F.relu(conv(p, "decoder.8", F.interpolate(conv5, (28, 28))))
    cost = F.binary_cross_entropy_with_logits(conv(p, "decoder.10", conv6), targets)
    assert_agrees(model, {"x": images}, cost, p, 1 / 784, noise)


# Variational autoencoders


def dense(p, name, x):
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def parted(p, name, h, units):
    """A dense layer for the mean and another for the logarithm of the variance."""
    weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
    return h @ weight[:, :units] + bias[:units], h @ weight[:, units:] + bias[units:]


def binary_crossentropy(target, output):
    """K.binary_crossentropy of Keras on TensorFlow, of probabilities: clipped, and turned back into logits."""
    output = torch.clip(output, 1e-7, 1 - 1e-7)
    return F.binary_cross_entropy_with_logits(torch.log(output / (1 - output)), target, reduction="none")


@pytest.mark.parametrize("target", (0.0, 0.3, 1.0))
def test_ours_is_binary_crossentropy_wherever_keras_does_not_clip(target):
    """Beyond a logit of 16.1 the loss stays as it is there, and there is no gradient, right or wrong."""
    logits = torch.linspace(-30, 30, 61, dtype=torch.float64, requires_grad=True)
    theirs = binary_crossentropy(torch.full_like(logits, target), torch.sigmoid(logits)).sum()
    theirs.backward()
    x, bound = logits.detach().numpy()[None], np.log((1 - 1e-7) / 1e-7)
    kept = np.clip(x, -bound, bound)
    loss, dlogits = losses.bce_with_logits(kept, np.full_like(kept, target))
    assert theirs.item() == pytest.approx(loss, abs=61 * 1e-8)  # 1 - p, 1e-7 and more, has the roundings of p
    np.testing.assert_allclose(logits.grad.numpy()[None], np.where(kept == x, dlogits, 0), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", ("vae", "class-mean-vae"))
def test_vae_is_vae_keras_py_and_class_mean_vae_cvae_keras_py(name):
    model = shaken(models.NAMES[name]((7, 7, 1), hidden=(6,), source="bojone", dtype="float64"))
    images, labels, p = drawn((4, 7, 7, 1)), np.array([3, 0, 9, 3]), tensors(model)
    noise, x = np.random.default_rng(2).normal(size=(4, 2)), torch.tensor(images).reshape(4, -1)
    z_mean, z_log_var = parted(p, "encoder.3", F.relu(dense(p, "encoder.1", x)), 2)
    yh = 0.0
    if name == "class-mean-vae":
        yh = dense(p, "prior", torch.nn.functional.one_hot(torch.tensor(labels), 10).to(x.dtype))
    z = z_mean + torch.exp(z_log_var / 2) * torch.tensor(noise)
    x_decoded_mean = torch.sigmoid(dense(p, "decoder.2", F.relu(dense(p, "decoder.0", z))))
    xent_loss = binary_crossentropy(x, x_decoded_mean).sum(-1)
    kl_loss = -0.5 * (1 + z_log_var - (z_mean - yh) ** 2 - torch.exp(z_log_var)).sum(-1)
    batch = {"x": images} | ({"labels": labels} if model.labels else {})
    assert_agrees(model, batch, (xent_loss + kl_loss).mean(), p, 1, {"z": noise})


def test_beta_vae_locatello_is_disentanglement_lib():
    """conv_encoder, deconv_decoder, bernoulli_loss of logits, and the regularizer of BetaVAE."""
    options = dict(latent_dim=3, beta=4.0, source="disentanglement-lib", dtype="float64")
    model, images = shaken(models.BetaVAE((64, 64, 1), **options), amount=0.01), drawn((2, 64, 64, 1))
    p, noise = tensors(model), np.random.default_rng(2).normal(size=(2, 3))
    x = h = torch.tensor(images).movedim(-1, 1)
    for i in (0, 2, 4, 6):
        h = F.relu(conv(p, f"encoder.{i}", h, 2))
    assert [p[f"encoder.{i}.weight"].shape[0] for i in (0, 2, 4, 6)] == [4, 4, 2, 2]
    e5 = F.relu(dense(p, "encoder.9", h.movedim(1, -1).flatten(1)))
    z_mean, z_logvar = parted(p, "encoder.11", e5, 3)
    z = z_mean + torch.exp(z_logvar / 2) * torch.tensor(noise)
    d2 = F.relu(dense(p, "decoder.2", F.relu(dense(p, "decoder.0", z))))
    h = d2.reshape(2, 4, 4, 64).movedim(-1, 1)
    for i in (5, 7, 9):
        h = F.relu(transposed(p, f"decoder.{i}", h, 2))
    logits = transposed(p, "decoder.11", h, 2)
    per_sample_loss = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    kl_loss = (0.5 * (z_mean**2 + torch.exp(z_logvar) - z_logvar - 1).sum(1)).mean()
    assert_agrees(model, {"x": images}, per_sample_loss.mean() + 4.0 * kl_loss, p, 1, {"z": noise})


def test_mixture_vae_is_vae_keras_cluster_py():
    """Ours has constants more: of the Gaussian, -D/2 of the entropy of q(z|x), and log K of p(y)."""
    options = dict(latent_dim=3, classes=4, channels=(2, 3), units=5, source="bojone", dtype="float64")
    model, images = shaken(models.MixtureVAE((8, 8, 1), **options)), drawn((3, 8, 8, 1))
    p, noise = tensors(model), np.random.default_rng(2).normal(size=(3, 3))
    x = h = torch.tensor(images).movedim(-1, 1)
    for i, stride in ((0, 2), (2, 1), (4, 2), (6, 1)):
        h = F.leaky_relu(conv(p, f"encoder.{i}", h, stride), 0.2)
    h = h.movedim(1, -1).flatten(1) @ p["encoder.9.weight"] + p["encoder.9.bias"]
    mean, log_var = h[:, :3], h[:, 3:]
    z = mean + torch.exp(log_var / 2) * torch.tensor(noise)
    h = (z @ p["decoder.0.weight"] + p["decoder.0.bias"]).reshape(3, 2, 2, 3).movedim(-1, 1)
    for i in (2, 6):
        h = F.leaky_relu(conv(p, f"decoder.{i}", h), 0.2)  # transposed there: the same with its kernel turned round
        h = F.leaky_relu(transposed(p, f"decoder.{i + 2}", h, 2), 0.2)
    recon = torch.sigmoid(conv(p, "decoder.10", h))
    y = F.relu(z @ p["classifier.0.weight"] + p["classifier.0.bias"])
    y = F.softmax(y @ p["classifier.2.weight"] + p["classifier.2.bias"], dim=1)
    xent = 0.5 * ((x - recon) ** 2).mean(0)
    kl = -0.5 * (log_var[:, None] - (z[:, None] - p["means.weight"]) ** 2)
    kl = torch.bmm(y[:, None], kl).mean(0)
    cat = (y * torch.log(y)).mean(0)
    loss = 2.5 * xent.sum() + kl.sum() + cat.sum()
    constant = 32 * np.log(2 * np.pi * 0.4) - 3 / 2 + np.log(4)
    assert_agrees(model, {"x": images}, loss, p, 1, {"z": noise}, constant)


def test_what_1e_7_in_the_logarithm_of_q_is_in_vae_keras_cluster_py(e=1e-7):
    """cat_loss is the mean of sum_k q_k log(q_k + e). For any q,

        0 <= q log(q + e) - q log q <= e        and, of the derivatives by q,        0 <= q d <= e,

    so that d loss / d logit_k = q_k d_k - q_k sum_j q_j d_j differs by K e at most.
    """
    logits = torch.tensor(np.random.default_rng(0).normal(scale=8, size=(50, 6)), requires_grad=True)
    q = F.softmax(logits, dim=1)
    assert q.min() < e < q.max()
    loss = (q * torch.log(q + e)).sum(1).mean()
    loss.backward()
    kl, dlogits = mixture.kl_to_uniform(logits.detach().numpy())
    assert 0 <= loss.item() - (kl - np.log(6)) <= 6 * e
    np.testing.assert_allclose(50 * dlogits, 50 * logits.grad.numpy(), rtol=0, atol=6 * e)


def test_mixture_vae_of_bounded_means_has_a_likelihood_of_values():
    for likelihood in ("bernoulli", "categorical", "learned-gaussian"):
        with pytest.raises(models.model.ConfigError, match="^output=sigmoid gives means in "):
            models.MixtureVAE(output="sigmoid", likelihood=likelihood)
    reconstructed = models.MixtureVAE((8, 8, 1), output="sigmoid").reconstruct(drawn((3, 8, 8, 1)))
    assert 0 < reconstructed.min() and reconstructed.max() < 1


@pytest.mark.parametrize(
    "name, source",
    [
        ("vae", "bojone"), ("class-mean-vae", "bojone"), ("mixture-vae", "bojone"), ("conv-ae", "udacity"),
        ("denoising-ae", "udacity"), ("beta-vae", "disentanglement-lib"), ("pixelcnn", "keras"),
    ],
)  # fmt: skip
def test_presets_begin_as_keras_and_tensorflow_do(name, source):
    model = models.NAMES[name](source=source)
    parted = isinstance(model, GaussianCodes) and f"encoder.{len(model.networks['encoder'].layers) - 1}.weight"
    assert_begins_as_glorot(model, parted)
    if parted:
        weight = model.named_parameters()[parted]
        assert np.abs(weight).max() > np.sqrt(6 / sum(fans(weight.shape))), "as of one layer"


# PixelCNN


@pytest.mark.parametrize("source, network, classes", [("keras", residual, 0), ("ritheshkumar95", gated, 3)])
def test_pixelcnn_is_vq_vae_py_of_keras_and_the_gated_pixelcnn_of_pytorch_vqvae(source, network, classes):
    """Keras multiplies kernels by masks; pytorch-vqvae sets to 0 what the first layer must not see."""
    options = dict(levels=5, width=6, blocks=2, classes=classes, dtype="float64")
    model, rng = shaken(models.PixelCNN((4, 3), source=source, **options)), np.random.default_rng(3)
    codes, labels, p = rng.integers(0, 5, (4, 4, 3)), np.array([2, 0, 1, 1]), tensors(model)
    logits = network(model, p, torch.tensor(codes), torch.tensor(labels) if classes else None)
    loss = F.cross_entropy(logits.movedim(1, -1).reshape(-1, 5), torch.tensor(codes).flatten())
    assert_agrees(model, {"x": codes} | ({"labels": labels} if classes else {}), loss, p, 1 / 12)


def test_the_gated_pixelcnn_begins_as_pytorch_vqvae_does():
    parameters = models.PixelCNN(source="ritheshkumar95", classes=10).named_parameters()
    for name, value in parameters.items():
        if name.startswith(("input", "classes")):
            assert value.std() == pytest.approx(1, rel=0.05), name  # of torch.nn.Embedding
        else:
            fan_in, fan_out = fans(value.shape)
            if name in ("stack.0.vertical.weight", "stack.0.horizontal.weight"):  # 4 x 7 and 1 x 4
                fan_in, fan_out = 4 / 3 * fan_in, 4 / 3 * fan_out
            most = np.sqrt(6 / (fan_in + fan_out)) if name.endswith("weight") else 0
            assert 0.98 * most <= np.abs(value).max() <= most * (1 + 1e-6), name


# Adversarial autoencoder


def test_aae_reference_begins_as_pytorch_does():
    model = models.AAE(source="bfarzin")
    assert model.param_count == 1_906_120 + 1_906_784 + 311_501
    parameters = model.named_parameters()
    for name, value in parameters.items():
        most = fans(parameters[name.replace("bias", "weight")].shape)[0] ** -0.5  # of torch.nn.Linear
        assert np.abs(value).max() <= most, name
        assert value.size < 200 or np.abs(value).max() > 0.98 * most and abs(value.mean()) < 0.1 * most, name
    assert not models.AAE(network="reference", latent_dim=120).named_parameters()["encoder.1.bias"].any()


EPS = 1e-15
LAYERS = {"encoder": ((2, 5), 1000, 0.25), "decoder": ((1, 4), 1000, 0.25), "discriminator": ((1, 4), 500, 0.2)}


class MainAAE:
    """main_aae.py of bfarzin/pytorch_aae, with gradients cleared before each phase, as they are not there.

    It draws what our noise draws.
    """

    def __init__(self, model, rate):
        self.nets = {n: twin(model, n, share, last_relu=n != "decoder") for n, (_, _, share) in LAYERS.items()}
        self.q, self.p, self.d = self.nets.values()
        rates = (self.p, rate), (self.q, rate), (self.q, rate / 2), (self.d, rate / 2)
        self.adams = [torch.optim.Adam(net.parameters(), lr=lr) for net, lr in rates]

    def cleared(self, loss):
        for net in self.nets.values():
            net.zero_grad()
        loss.backward()
        return loss.item()

    def step(self, images, noise):
        """The losses of the phases, each while the gradients are its own."""
        p, q, d, images = self.p, self.q, self.d, torch.tensor(images).flatten(1)
        optim_p, optim_q_enc, optim_q_gen, optim_d = self.adams

        def keep(*names):
            rng, (places, units, rate) = child(noise, *names), LAYERS[names[-1]]
            masks = (rng.child(str(i)).bernoulli("keep", (len(images), units), 1 - rate, "float64") for i in places)
            return list(map(torch.tensor, masks))

        z_sample = q(images, keep("reconstruction", "encoder"))
        x_sample = torch.sigmoid(p(z_sample, keep("reconstruction", "decoder")))
        yield self.cleared(F.binary_cross_entropy(x_sample + EPS, images + EPS))
        optim_p.step()
        optim_q_enc.step()

        z_real = child(noise, "discriminator", "prior").normal("z", z_sample.shape, "float64")
        d_real_gauss = torch.sigmoid(d(torch.tensor(z_real) * 5.0, keep("discriminator", "real", "discriminator")))
        d_fake_gauss = torch.sigmoid(d(q(images), keep("discriminator", "fake", "discriminator")))
        yield self.cleared(-torch.mean(torch.log(d_real_gauss + EPS) + torch.log(1 - d_fake_gauss + EPS)))
        optim_d.step()

        z_fake_gauss = q(images, keep("generator", "encoder"))
        d_fake_gauss = torch.sigmoid(d(z_fake_gauss, keep("generator", "discriminator")))
        yield self.cleared(-torch.mean(torch.log(d_fake_gauss + EPS)))
        optim_q_gen.step()

    def assert_alike(self, ours, of, factor=1.0):
        """ours: {name: array}, `factor` of which is `of` the source's parameter, for all parameters of a network."""
        for name, net in self.nets.items():
            arrays = [array for place, array in ours.items() if place.startswith(f"{name}.")]
            for array, parameter in zip(arrays, net.parameters() if arrays else (), strict=True):
                theirs = of(parameter).numpy().T
                np.testing.assert_allclose(factor * array, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())


def child(noise, *names):
    for name in names:
        noise = noise.child(name)
    return noise


@pytest.fixture
def aae():
    """The model of the source for small images, the images, and what each phase's loss is of ours there."""
    model = models.AAE((5, 5, 1), source="bfarzin", latent_dim=3, dtype="float64")
    return model, drawn((6, 5, 5, 1)), {"reconstruction": 1 / 25, "discriminator": 1.0, "generator": 1.0}


def test_aae_is_main_aae_py(aae):
    """Losses and gradients of all phases, at one and the same parameters."""
    model, images, factors = aae
    source = MainAAE(model, rate=0.0)
    terms, grads = model.loss_and_grads({"x": images})
    for phase, loss in zip(model.phases, source.step(images, model.backend.noise(0, 0)), strict=True):
        factor = factors[phase.name]
        assert factor * terms[phase.objective] == pytest.approx(loss, rel=TOLERANCE)
        source.assert_alike(grads[phase.name], lambda parameter: parameter.grad, factor)


def test_fit_of_aae_is_main_aae_py(aae, steps=5):
    """Losses of all steps, and the parameters after them. Our reconstruction's epsilon is 25 times as large."""
    model, images, factors = aae
    source, feed, expected = MainAAE(model, rate=0.0001), Feed(images, None, model.backend, 100, 0), []
    for step in range(steps):
        (batch,) = feed.epoch(step)
        expected.append(list(source.step(batch["x"], model.backend.noise(0, step))))
    history = tinyae.fit(model, images, epochs=steps, progress=False)
    objectives = [(phase.objective, factors[phase.name]) for phase in model.phases]
    ours = [[factor * record["train"][name] for name, factor in objectives] for record in history.records]
    np.testing.assert_allclose(ours, expected, rtol=TOLERANCE)
    source.assert_alike(model.named_parameters(), torch.Tensor.detach)


# Optimisers


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
    with pytest.raises(tinyae.errors.ConfigError, match="^epsilon: sgd has none, leave it out$"):
        tinyae.fit(models.AE((4,), 2, ()), drawn((8, 4)), optimizer="sgd", epsilon=1e-7, progress=False)
    with pytest.raises(tinyae.errors.ConfigError, match="^epsilon: expected "):
        tinyae.fit(models.AE((4,), 2, ()), drawn((8, 4)), epsilon=0.0, progress=False)
