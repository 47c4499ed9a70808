"""The same in PyTorch, eager or compiled phase by phase, with fused Adam.

Real and drawn examples go through a discriminator in one batch, as none has BatchNorm.
"""

import functools

import torch
import torch.nn.functional as F
from torch import nn

from tinyae.backend import Noise
from tinyae.models import AAE, GAN, VAEGAN, SemiAAE

from . import convolution_torch
from .adversaries import CASES, LR, networks
from .convolution_torch import images, module


class Contender(convolution_torch.Contender):
    @functools.cache  # noqa: B019 (one contender a process)
    def case(self, name):
        return RUNS[CASES[name].kind](CASES[name], self.memory, self.compile)


class Run:
    """A subclass has for each phase of the model a function of (x, *draws) -> what the phase minimises."""

    def __init__(self, case, memory, compiled, dropout=True):
        self.case, self.memory, self.compiled, self.count = case, memory, compiled, 0
        model = case.build(dropout)
        found = {name: module(net, model.store.tree[name], shape) for name, net, shape in networks(model)}
        self.networks = nn.ModuleDict(found).to(memory_format=memory)
        self.draws = self.begin(model)
        self.phases = []
        for phase in model.phases:
            trained = [p for name in phase.trains for p in self.networks[name].parameters()]
            adam = torch.optim.Adam(trained, LR * phase.rate, (phase.momentum, 0.999), fused=True)
            self.phases.append((phase, adam, compiled(getattr(self, phase.name))))

    def begin(self, model):
        """{phase: its draws, each (name, "normal" or "uniform", shape of an example's)}; takes what else is needed."""
        raise NotImplementedError

    def step(self, x, noise=None):
        """What each phase minimised. noise: tinyae's, for a step that is compared; without it all is drawn here."""
        x, losses = images(x, self.memory), []
        for phase, adam, objective in self.phases:
            if self.count % phase.every == 0:
                self.freeze(phase)
                loss = objective(x, *self.drawn(phase.name, len(x), noise))
                adam.zero_grad()
                loss.backward()
                adam.step()
                losses.append(loss.detach())
        self.count += 1
        return losses

    def freeze(self, phase):
        for name, network in self.networks.items():
            for parameter in network.parameters():
                parameter.requires_grad = name in phase.trains

    def drawn(self, phase, count, noise):
        for name, kind, shape in self.draws.get(phase, ()):
            if noise is not None:
                yield torch.from_numpy(getattr(noise, kind)(f"{phase}.{name}", (count, *shape)))
            else:
                yield (torch.randn if kind == "normal" else torch.rand)(count, *shape)

    def check(self, *batches):
        """The losses of the first steps on the batches, without dropout, of a run of their own."""
        run = type(self)(self.case, self.memory, self.compiled, dropout=False)
        return [float(loss) for i, batch in enumerate(batches) for loss in run.step(*batch, Noise(0, i))]


def told(discriminator, real, fake):
    """What a discriminator minimises: its cross-entropy on real examples, and on others, of which there may be more."""
    logits = discriminator(torch.cat((real, fake)))
    return (F.softplus(-logits[: len(real)]).sum() + F.softplus(logits[len(real) :]).sum()) / len(real)


def fooling(logits):
    return F.softplus(-logits).mean()


def reconstruction_loss(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


class CodesRun(Run):
    def freeze(self, phase):
        """Discriminators judge codes as they are used, without dropout."""
        super().freeze(phase)
        self.networks["encoder"].train(not phase.name.startswith("discriminator"))


class AAERun(CodesRun):
    def begin(self, model):
        self.scale = model.prior.scale
        return {"discriminator": [("prior.z", "normal", (model.latent_dim,))]}

    def reconstruction(self, x):
        return reconstruction_loss(self.networks["decoder"](self.networks["encoder"](x)), x)

    def discriminator(self, x, z):
        with torch.no_grad():
            code = self.networks["encoder"](x)
        return told(self.networks["discriminator"], self.scale * z, code)

    def generator(self, x):
        return fooling(self.networks["discriminator"](self.networks["encoder"](x)))


class SemiAAERun(CodesRun):
    def begin(self, model):
        kept = model.state.tree["labelled"]
        self.kept = images(kept["x"], torch.contiguous_format), torch.from_numpy(kept["labels"]).long()
        self.labelled, self.sizes = model.labelled, (model.classes, model.style_dim)
        self.noise, noise = model.noise, ("noise", "normal", model.input_shape)
        drawn = [("prior.z", "normal", (model.style_dim,)), ("class", "uniform", ())]
        trained = {"reconstruction": [noise], "generator": [noise], "classes": [noise, ("labelled", "uniform", ())]}
        return trained | {"discriminators": drawn}

    def noisy(self, x, noise):
        return x + self.noise * noise.permute(0, 3, 1, 2)

    def infer(self, x):
        logits, z = self.networks["encoder"](x).split(self.sizes, dim=1)
        return logits.softmax(dim=1), z

    def reconstruction(self, x, noise):
        return reconstruction_loss(self.networks["decoder"](torch.cat(self.infer(self.noisy(x, noise)), dim=1)), x)

    def discriminators(self, x, drawn, u):
        with torch.no_grad():
            p, z = self.infer(x)
        one_hot = F.one_hot((u * self.sizes[0]).long(), self.sizes[0]).float()
        of_class = told(self.networks["class_discriminator"], one_hot, p)
        return told(self.networks["discriminator"], drawn, z) + of_class

    def generator(self, x, noise):
        p, z = self.infer(self.noisy(x, noise))
        return fooling(self.networks["discriminator"](z)) + fooling(self.networks["class_discriminator"](p))

    def classes(self, x, noise, u):
        rows = (u * self.labelled).long()
        examples, labels = self.kept
        logits, _ = self.networks["encoder"](self.noisy(examples[rows], noise)).split(self.sizes, dim=1)
        return F.cross_entropy(logits, labels[rows])


class GANRun(Run):
    def begin(self, model):
        self.wasserstein, self.penalty = model.wasserstein, model.penalty
        z, mix = ("z", "normal", (model.latent_dim,)), ("mix", "uniform", (1, 1, 1))
        return {"discriminator": [z, mix] if self.wasserstein else [z], "generator": [z]}

    def discriminator(self, x, z, mix=None):
        D = self.networks["discriminator"]
        with torch.no_grad():
            fake = self.networks["generator"](z)
        if not self.wasserstein:
            return told(D, x, fake)
        logits = D(torch.cat((x, fake)))
        distance = logits[: len(x)].mean() - logits[len(x) :].mean()
        return self.slope_penalty(D, fake + mix * (x - fake)) - distance

    def slope_penalty(self, D, mixed):
        mixed.requires_grad_()
        (slope,) = torch.autograd.grad(D(mixed).sum(), mixed, create_graph=True)
        return self.penalty * (slope.flatten(1).norm(dim=1) - 1).square().mean()

    def generator(self, x, z):
        logits = self.networks["discriminator"](self.networks["generator"](z))
        return -logits.mean() if self.wasserstein else fooling(logits)


class VAEGANRun(Run):
    def begin(self, model):
        self.gamma = model.gamma
        z, prior = (((name, "normal", (model.latent_dim,))) for name in ("z", "prior"))
        return {"encoder": [z], "decoder": [z, prior], "discriminator": [z, prior]}

    def code(self, x, z):
        """(mu, logvar, a draw of the posterior)."""
        mu, logvar = self.networks["encoder"](x).chunk(2, dim=1)
        return mu, logvar, mu + torch.exp(0.5 * logvar) * z

    def decoded(self, code):
        return torch.sigmoid(self.networks["decoder"](code))

    def squares(self, seen, x):
        with torch.no_grad():
            target = self.networks["features"](x)
        return 0.5 * F.mse_loss(seen, target, reduction="sum") / len(x)

    def encoder(self, x, z):
        mu, logvar, code = self.code(x, z)
        kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum() / len(x)
        return kl + self.squares(self.networks["features"](self.decoded(code)), x)

    def decoder(self, x, z, prior):
        with torch.no_grad():
            code = self.code(x, z)[2]
        seen = self.networks["features"](self.decoded(torch.cat((code, prior))))
        gan = F.softplus(-self.networks["head"](seen)).sum() / len(x)
        return self.gamma * self.squares(seen[: len(x)], x) + gan

    def discriminator(self, x, z, prior):
        with torch.no_grad():
            fake = self.decoded(torch.cat((self.code(x, z)[2], prior)))
        return told(lambda images: self.networks["head"](self.networks["features"](images)), x, fake)


RUNS = {AAE: AAERun, SemiAAE: SemiAAERun, GAN: GANRun, VAEGAN: VAEGANRun}
