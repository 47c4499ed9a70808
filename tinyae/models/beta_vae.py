"""The beta-VAE (Higgins et al. 2017): the KL weighted, held to a capacity, warmed up, or free up to a floor."""

import math

import numpy as np

from ..errors import ConfigError
from ..latent import gaussian, kl_forms
from ..layers import ACTIVATIONS
from ..losses.likelihood import OPTIONS as LIKELIHOOD
from ..losses.likelihood import likelihood as likelihood_of
from ..networks.autoencoder import INIT, NETWORKS, encoder_and_decoder
from ..networks.own import OWN, described
from ..options import WEIGHT, Choice, Count, Counts, Source, Sources, options
from .gaussian_codes import halves, joined
from .model import COMMON
from .vae import VAE

WARMUPS = ("none", "linear", "cyclical")


class BetaVAE(VAE):
    """A VAE with another price of information at training step t:   reconstruction + w(t) P

        w(t) = beta rise(t)         rise from 0 to 1 in `warmup_steps` steps: "linear", or "cyclical" in four cycles
        P = KL                      (Higgins et al. 2017, equation 4)
        P = |KL - C(t)|             `capacity` > 0: C(t) rises linearly from 0 to it in `capacity_steps` steps, and beta
                                    is what Burgess et al. 2018 call gamma (equation 8)
        P = sum_j max(floor, KL_j)  `free_bits`: the floor of each dimension, in bits (Kingma et al. 2016)

    In evaluation w and C are the final ones. The terms are those of the ELBO, so that they compare for every form, and
    what the form adds:   loss = reconstruction + kl + penalty,   penalty = w(t) P - KL, negative where KL is cheap.

    source="disentanglement-lib" is the beta_vae of google-research/disentanglement_lib, whole, for images of 64 pixels;
    beta is to be given, as there. "burgess" follows a paper's text, no code.

    Parameters
    ----------
    beta: the weight of the KL; with `capacity` the weight of its distance from the capacity.
    warmup: how the weight rises to beta: "none" (it is beta from the first step on), "linear", or "cyclical" in four
        cycles.
    warmup_steps: training steps that the rise takes.
    capacity: the KL in nats that the code is held to; 0 switches this off.
    capacity_steps: training steps in which the capacity rises from 0.
    free_bits: the KL in bits below which a dimension of the code costs nothing less; 0 switches this off.
    network: "dense" (with layers of `hidden` units), "conv" (the networks of conv-vae), or the networks of a paper,
        "burgess" (Burgess et al. 2018) or "locatello" (Locatello et al. 2019).
    hidden: units of the hidden layers of network=dense, from the encoder's first one on; the decoder mirrors them.
    source: "none", or "disentanglement-lib", which stands for network=locatello, init=glorot and training by
        optimizer=keras-adam with epsilon=1e-8 and lr=0.0001 in batches of 64. Explicit options take precedence.
    encoder: your own encoder, a layer that turns x into mu and logvar, (2 latent_dim,); None makes the usual one.
    decoder: your own decoder, a layer that turns z (latent_dim,) into the parameters of p(x|z); None makes the usual
        one.
    """

    name = "beta-vae"
    terms = ("loss", "reconstruction", "kl", "penalty")
    sources = {
        "disentanglement-lib": Source(
            dict(network="locatello", init="glorot"),
            dict(optimizer="keras-adam", epsilon=1e-8, lr=1e-4, batch_size=64),
        )
    }

    @options(
        latent_dim=Count(), beta=WEIGHT, warmup=Choice(WARMUPS), warmup_steps=Count(1, None), capacity=WEIGHT,
        capacity_steps=Count(1, None), free_bits=WEIGHT, network=Choice(NETWORKS), hidden=Counts(),
        activation=Choice(ACTIVATIONS), init=INIT, source=Sources(sources), encoder=OWN, decoder=OWN,
        **LIKELIHOOD, **COMMON,
    )  # fmt: skip
    def __init__(
        self, input_shape=(28, 28, 1), latent_dim=10, beta=4.0, warmup="none", warmup_steps=2000, capacity=0.0,
        capacity_steps=10_000, free_bits=0.0, network="dense", hidden=(256,), activation="relu", likelihood="bernoulli",
        sigma=1.0, init="own", source="none", seed=0, backend="numpy", dtype="float32",
        encoder=None, decoder=None,
    ):  # fmt: skip
        self.input_shape, self.latent_dim = input_shape, latent_dim
        self.warmup, self.warmup_steps, self.capacity_steps = warmup, warmup_steps, capacity_steps
        if capacity and free_bits:
            raise ConfigError("capacity and free_bits are two forms of the KL: give one of them")
        self.beta, self.capacity, self.floor = beta, capacity, free_bits * math.log(2)
        self.likelihood = likelihood_of(likelihood, sigma)
        config = dict(
            input_shape=self.input_shape, latent_dim=latent_dim, beta=beta, warmup=warmup, warmup_steps=warmup_steps,
            capacity=capacity, capacity_steps=capacity_steps, free_bits=free_bits, network=network, hidden=hidden,
            activation=activation, likelihood=likelihood, sigma=sigma, init=init, source=source,
            **described(encoder=encoder, decoder=decoder),
        )  # fmt: skip
        x, z, output = self.input_shape, (latent_dim,), self.likelihood.output_shape(self.input_shape)
        encoder = self.fitting("encoder", encoder, x, (2 * latent_dim,))
        decoder = self.fitting("decoder", decoder, z, output)
        usual = encoder_and_decoder(network, hidden, x, 2 * latent_dim, output, activation)
        networks = {"encoder": (encoder or usual[0], x), "decoder": (self.likelihood.decoder(decoder or usual[1]), z)}
        self.build(networks, config, seed, backend, dtype, init)
        if network != "dense":
            self.part = 32  # convolution is as fast on few images

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

    @property
    def separable(self):
        return super().separable and not self.couples

    @property
    def settled_after(self):
        """Until then w(t) or C(t) rises, and a lower loss may be a lower price."""
        return max(self.warmup_steps if self.warmup != "none" else 0, self.capacity_steps if self.capacity else 0)

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
        """As for every model; a form that looks at the mean KL is that of all examples' mean, not of each batch's."""
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
