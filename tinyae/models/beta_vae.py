"""The beta-VAE (Higgins et al. 2017): the KL weighted, held to a capacity, warmed up, or free up to a floor."""

import math

import numpy as np

from ..declared import BACKEND, DTYPE, INPUT_SHAPE, SEED, Option, declared, published
from ..errors import ConfigError
from ..latent import gaussian, kl_forms
from ..losses.likelihood import LIKELIHOOD, SIGMA
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import ACTIVATION, HIDDEN, INIT, LATENT_DIM, VAE_NETWORKS, encoder_and_decoder
from ..networks.own import own
from ..options import WEIGHT, Choice, Count, Source
from ..traits import Best, Parts, Whole
from .gaussian_codes import halves, joined
from .vae import VAE

WARMUPS = ("none", "linear", "cyclical")


class BetaVAE(VAE):
    """A variational autoencoder whose KL is weighted, held to a capacity, warmed up, or free up to a floor.

        loss = reconstruction + w(t) P        at training step t

        w(t) = beta rise(t)         rise from 0 to 1 in `warmup_steps` steps: "linear", or "cyclical" in four cycles
        P = KL                      (Higgins et al. 2017, equation 4)
        P = |KL - C(t)|             `capacity` > 0: C(t) rises linearly from 0 to it in `capacity_steps` steps, and beta
                                    is what Burgess et al. 2018 call gamma (equation 8)
        P = sum_j max(floor, KL_j)  `free_bits`: the floor of each dimension, in bits (Kingma et al. 2016)

    In evaluation w and C have their final values. The terms "reconstruction" and "kl" are the ELBO's in every form, so
    that runs can be compared. The term "penalty" is what the form adds: loss = reconstruction + kl + penalty, with
    penalty = w(t) P - KL, which is negative where w < 1.

    source="disentanglement-lib" is the complete beta_vae of google-research/disentanglement_lib for images of 64
    pixels; beta is to be given, as there. "burgess" follows the text of a paper, no code.

    Example
    -------
    >>> import numpy as np
    >>> BetaVAE(input_shape=(4, 4, 1), hidden=(8,), beta=4.0).encode(np.zeros((2, 4, 4, 1))).shape[0]
    2
    """

    name = "beta-vae"
    terms = ("loss", "reconstruction", "kl", "penalty")
    sources = {
        "disentanglement-lib": Source(
            dict(network="locatello", init="glorot"),
            dict(optimizer="keras-adam", epsilon=1e-8, lr=1e-4, batch_size=64),
        )
    }

    @declared
    def __init__(
        self, input_shape=INPUT_SHAPE, latent_dim=LATENT_DIM.of(10),
        beta=Option(4.0, WEIGHT, "The weight of the KL, or with `capacity` of its distance from the capacity."),
        warmup=Option("none", Choice(WARMUPS), 'How the weight rises to beta: "none" (it is beta from the first '
                      'step), "linear", or "cyclical" in four cycles.'),
        warmup_steps=Option(2000, Count(1, None), "The number of training steps of the rise."),
        capacity=Option(0.0, WEIGHT, "The target of the KL in nats; 0 means no target."),
        capacity_steps=Option(10_000, Count(1, None), "The number of training steps in which the target rises from "
                              "0."),
        free_bits=Option(0.0, WEIGHT, "The KL of a dimension, in bits, that is free: a smaller KL costs as much as "
                         "this one. 0 means none."),
        network=Option("dense", Choice(VAE_NETWORKS), 'The networks: "dense" (with layers of `hidden` units), '
                       '"conv" (as in conv-vae), "burgess" (Burgess et al. 2018) or "locatello" (Locatello et '
                       "al. 2019)."),
        hidden=HIDDEN.meaning("Units of the hidden layers of network=dense, from the encoder's first on. The "
                              "decoder mirrors them. Without any encoder and decoder are linear."),
        activation=ACTIVATION, likelihood=LIKELIHOOD, sigma=SIGMA, init=INIT,
        source=published(sources), seed=SEED, backend=BACKEND, dtype=DTYPE,
        encoder=own("Your own encoder, a layer from x to mu and logvar, (2 latent_dim,)."),
        decoder=own("Your own decoder, a layer from z (latent_dim,) to the parameters of p(x|z)."),
    ):  # fmt: skip
        self.input_shape, self.latent_dim = input_shape, latent_dim
        self.warmup, self.warmup_steps, self.capacity_steps = warmup, warmup_steps, capacity_steps
        if capacity and free_bits:
            raise ConfigError("capacity and free_bits are two forms of the KL: give one of them")
        self.beta, self.capacity, self.floor = beta, capacity, free_bits * math.log(2)
        self.likelihood = likelihood_of(likelihood, sigma)
        x, z, output = self.input_shape, (latent_dim,), self.likelihood.output_shape(self.input_shape)
        encoder = self.fitting("encoder", encoder, x, (2 * latent_dim,))
        decoder = self.fitting("decoder", decoder, z, output)
        usual = encoder_and_decoder(network, hidden, x, 2 * latent_dim, output, activation)
        networks = {"encoder": (encoder or usual[0], x), "decoder": (self.likelihood.decoder(decoder or usual[1]), z)}
        self.build(networks)
        if self.couples:
            self.cut = Whole()
        elif network != "dense":
            self.cut = Parts(32)  # convolution is as fast on few images
        # Until then w(t) or C(t) rises, and a lower loss may be due to a lower weight.
        settled = max(warmup_steps if warmup != "none" else 0, capacity_steps if capacity else 0)
        self.selection = Best(after=settled)

    @classmethod
    def examples(cls):
        small = dict(input_shape=(3, 3, 1), latent_dim=2, hidden=(5,))
        smooth = small | dict(activation="tanh")
        return [cls(**small), cls(**smooth, beta=0.5, warmup="linear", warmup_steps=100)] + [
            cls(**smooth, beta=3.0, warmup="cyclical", warmup_steps=200, free_bits=0.5),
            cls(**smooth, beta=20.0, capacity=5.0, capacity_steps=50, likelihood="learned-gaussian"),
            cls(input_shape=(4, 5, 2), latent_dim=2, network="conv", activation="tanh", likelihood="laplace"),
        ]

    @property
    def couples(self):
        """Whether the form looks at the mean KL of a batch."""
        return bool(self.capacity or self.floor)

    def step(self, net, x):                                               # x (N, H, W, C)
        weight, at = self.schedule(net)                                   # w(t), and the step t of the capacity C(t)
        h, c_enc = net.encoder.forward(x)                                 # (N, 2D)
        mu, logvar = halves(h)                                            # (N, D) each
        z, c_z = gaussian.sample(mu, logvar, net.normal("z", mu))         # (N, D)
        out, c_dec = net.decoder.forward(z)                               # (N, H, W, C)
        rec, dout = self.likelihood.nll(out, x, net.count)                # (), (N, H, W, C)
        kl, _, _ = gaussian.kl_standard(mu, logvar, net.count)            # ()
        price, dmu_p, dlogvar_p = self.price(mu, logvar, at, net.count)   # (), (N, D) each

        if net.needs_grads:
            dz = net.decoder.backward(c_dec, dout)                        # (N, D), as out = decoder(z)
            dmu, dlogvar = gaussian.sample_backward(c_z, dz)              # (N, D) each, as z = mu + sigma noise
            dh = joined(dmu + weight * dmu_p, dlogvar + weight * dlogvar_p)    # (N, 2D), as mu, logvar = halves(h)
            net.encoder.add_grads(c_enc, dh)                              # as h = encoder(x)
        paid = weight * price
        return {"loss": rec + paid, "reconstruction": rec, "kl": kl, "penalty": paid - kl}

    def schedule(self, net):
        """(w(t), t) of a training step t; in evaluation the values at the schedules' ends."""
        if not net.training:
            return self.beta, self.capacity_steps
        return self.weight(net.noise.step), net.noise.step

    def evaluate(self, batches, count, noise):
        """As for every model; but a capacity is compared with the mean KL of all examples, not of each batch."""
        if not self.couples:
            return super().evaluate(batches, count, noise)
        each = np.zeros(self.latent_dim)  # KL by dimension

        def seen():
            for batch in batches:
                nonlocal each
                parts = gaussian.kl_elements(*self.infer(self.prepare(batch))).sum(axis=0)
                each = each + self.backend.to_host(parts) / count
                yield batch

        terms = super().evaluate(seen(), count, noise)
        price = abs(each.sum() - self.capacity) if self.capacity else np.maximum(each, self.floor).sum()
        paid = self.beta * float(price)
        return terms | {"loss": terms["reconstruction"] + paid, "penalty": paid - terms["kl"]}

    def weight(self, step):
        """w(t)."""
        if self.warmup == "none":
            return self.beta
        return self.beta * kl_forms.rise(self.warmup, step, self.warmup_steps)

    def price(self, mu, logvar, step, batch_size):
        """P at a training step, and its gradients by mu and logvar."""
        if self.capacity:
            capacity = self.capacity * kl_forms.rise("linear", step, self.capacity_steps)
            return kl_forms.kl_to_capacity(mu, logvar, capacity, batch_size)
        if self.floor:
            return kl_forms.kl_free_bits(mu, logvar, self.floor, batch_size)
        return gaussian.kl_standard(mu, logvar, batch_size)
