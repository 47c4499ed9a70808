"""The sparse autoencoder: more code units than needed, few of them active at a time."""

import numpy as np

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared
from ..latent import sparsity
from ..layers import ReLU, Sigmoid
from ..layers.activations import sigmoid
from ..networks.autoencoder import ACTIVATION, HIDDEN, LATENT_DIM, dense_decoder, dense_encoder
from ..options import SHARE, WEIGHT, Choice
from ..traits import Whole
from .ae import AE, LOSS

CODES = {"l1": ReLU, "kl": Sigmoid}  # the code's activation by penalty


class SparseAE(AE):
    """A dense autoencoder with more code units than it needs, few of which are active at a time.

        z = relu(h) or sigmoid(h),   h = encoder(x),   loss = reconstruction error + weight penalty(h)

    Without hidden layers the decoder's weights are one feature per code unit, which `features` returns. The default has
    402,448 parameters.

    Example
    -------
    >>> model = SparseAE(input_shape=(4, 4, 1), latent_dim=6, hidden=())
    >>> model.features().shape
    (6, 4, 4, 1)
    """

    name = "sparse-ae"
    pictures = ("features",)
    terms = ("loss", "reconstruction", "sparsity")

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM.of(256), hidden=HIDDEN.of(()), activation=ACTIVATION,
        loss=LOSS,
        penalty=Option("l1", Choice(CODES), 'The penalty on the code: "l1", its sum, with z = relu(h), which gives '
                       'exact zeros (Olshausen & Field 1996); or "kl", the KL divergence of each unit\'s mean '
                       "activation over the batch from `rate`, with z = sigmoid(h) (Ng 2011)."),
        weight=Option(0.3, WEIGHT, "The weight of the penalty; 0 gives a plain autoencoder."),
        rate=Option(0.05, SHARE, "The target of each unit's mean activation for penalty=kl, between 0 and 1."),
        seed=SEED, backend=BACKEND, dtype=DTYPE,
    ):  # fmt: skip
        self.input_shape, self.latent_dim = input_shape, latent_dim
        self.use_loss(loss)
        self.penalty, self.weight, self.rate = penalty, weight, rate
        if penalty == "kl":
            self.cut = Whole()  # it depends on the mean activation over the batch
        networks = {
            "encoder": (dense_encoder(hidden, latent_dim, activation), self.input_shape),
            "code": (CODES[penalty](), (latent_dim,)),
            "decoder": (dense_decoder(hidden, self.input_shape, activation), (latent_dim,)),
        }
        self.build(networks)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=4, hidden=(5,), activation="tanh")
        return [cls(**small, penalty=penalty, weight=0.7, rate=0.2) for penalty in CODES] + [
            cls(input_shape=(4,), latent_dim=6, loss="mse")
        ]

    def step(self, net, x):                                               # x (N, H, W, C)
        h, c_enc = net.encoder.forward(x)                                 # (N, D)
        z, c_code = net.code.forward(h)                                   # (N, D), relu(h) or sigmoid(h)
        y, c_dec = net.decoder.forward(z)                                 # (N, H, W, C)
        rec, dy = self.loss_function(y, x, net.count)                     # (), (N, H, W, C)
        sparse, dh_sparse = self.sparsity(h, net.count)                   # (), (N, D)

        if net.needs_grads:
            dz = net.decoder.backward(c_dec, dy)                          # (N, D), as y = decoder(z)
            dh = net.code.backward(c_code, dz)                            # (N, D), as z = code(h)
            net.encoder.add_grads(c_enc, dh + self.weight * dh_sparse)    # as h = encoder(x)
        return {"loss": rec + self.weight * sparse, "reconstruction": rec, "sparsity": self.weight * sparse}

    def sparsity(self, h, batch_size=None):
        """(penalty, dh), without the weight."""
        if self.penalty == "l1":
            return sparsity.l1_of_code(h, batch_size)
        return sparsity.kl_to_rate(h, self.rate)

    def evaluate(self, batches, count, noise):
        """As in `Model`; with "kl", the mean activation is that over all batches."""
        if self.separable:
            return super().evaluate(batches, count, noise)
        rec = active = idle = 0
        for batch in batches:
            x = self.prepare(batch)["x"]
            h = self.apply("encoder", x)
            y = self.apply("decoder", self.apply("code", h))
            rec += float(self.loss_function(y, x, count)[0])
            active, idle = active + sigmoid(h).sum(axis=0) / count, idle + sigmoid(-h).sum(axis=0) / count
        sparse = self.weight * float(sparsity.kl_of_activity(active, idle, self.rate))
        return {"loss": rec + sparse, "reconstruction": rec, "sparsity": sparse}

    def features(self):
        """What a unit of each code adds to the decoder's output (logits or values), from a code of zeros.

        (latent_dim, *input_shape), as a NumPy array; with hidden=() these are the decoder's weights.
        """
        units = self.backend.asarray(np.eye(self.latent_dim, dtype=self.dtype))
        nothing = self.apply("decoder", self.backend.zeros((1, self.latent_dim), self.dtype))
        return self.in_chunks(lambda z: self.apply("decoder", z) - nothing, units)

    def activity(self, x):
        """How active each unit is over the images x, (latent_dim,): the share of them in which it is not zero for "l1",
        its mean activation for "kl"."""
        z = self.encode(x)
        return (z > 0).mean(axis=0) if self.penalty == "l1" else z.mean(axis=0)

    def _encode(self, x):
        return self.apply("code", self.apply("encoder", x))
