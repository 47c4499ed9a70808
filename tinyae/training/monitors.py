"""Monitors of a training: posterior collapse, codebook usage, code probabilities, adversaries out of balance.

A model declares in `monitors` which of them watch it, by the names in MONITORS or as subclasses of `Monitor`.
"""

import numpy as np

from ..latent import quantize
from ..traits import Monitored
from ..wording import flag, setting

COLLAPSED = 0.01  # nats: a dimension with a smaller KL holds next to nothing
NAMED = 10  # collapsed dimensions that are named at most
SPARSE = 0.1  # of the codes, the perplexity below which a codebook does not spread over the data
MEASURED = 256  # examples, drawn and real
MANY = 500  # steps that an alarm looks back over: sound trainings begin with 100 or so of the same look
WON = 0.99  # of the examples told right: from there on a discriminator teaches nothing
NARROW = 0.05  # of the spread there should be: codes of an autoencoder that learns have had 0.1 of it for long
CROWDED = 0.2  # of the nearest distance there should be: sound trainings have 0.5 and more, from the first epochs on
STEEP = 2.0  # times the gap, by theory 1 at most; with a gradient penalty of the usual weight it is below 1
IDLE = 0.9  # of the highest distance: a generator that learns brings it below in so many steps of its own

# {name: (whether the latest epochs went wrong, by the means of their terms and reports; what to say of them)}.
ALARMS = {
    "won": (
        lambda mean: mean.get("accuracy", 0) > WON,
        "the discriminator has told {accuracy:.1%} right for {many} steps: the other side learns little from it. "
        "{advice} may help",
    ),
    "collapsed": (
        lambda mean: mean.get("spread", 1) < NARROW,
        "the {what} collapse: their spread is {spread:.2g} of that of {whose}. A lower {lr} may help",
    ),
    "few": (
        lambda mean: mean.get("nearest", 1) < CROWDED,
        "the samples are of few kinds: the nearest two are {nearest:.2g} times as far apart as they should be. A lower "
        "{lr} may help",
    ),
    # Examples that are `gap` apart differ in D by that at most, |D(x) - D(y)| <= |x - y| (Gulrajani et al. 2017, 2.1).
    "steep": (
        lambda mean: mean.get("distance", 0) > STEEP * mean.get("gap", np.inf),
        "the critic is too steep: a distance of {distance:.3g} where samples and data are {gap:.3g} apart. A larger "
        "{penalty} may help",
    ),
    "behind": (
        lambda mean: mean.get("distance", 1) <= 0,
        "the critic does not tell samples from data: the distance is {distance:.3g}. More {critic_steps} may help",
    ),
    "idle": (
        lambda mean: mean.get("stayed", 0) > IDLE,
        "the distance stays at its highest, {distance:.3g}: the generator does not learn. Another {lr} may help",
    ),
}


class Monitor:
    """Watches one model in one run. Each method may be left as it is."""

    def __init__(self, model):
        self.model = model

    def report(self, batch):
        """-> what an epoch's record says besides the terms, JSON-ready, measured on a batch of monitored data."""
        return {}

    def end_epoch(self):
        """Called after `report`: what is counted over an epoch begins anew."""

    def alarms(self, records):
        """-> {name: line} of what goes wrong after the last of the epochs' records."""
        return {}

    def warnings(self, record):
        """-> lines to show at the end of a training, by its last record."""
        return []


class PosteriorCollapse(Monitor):
    """The KL of each dimension of a Gaussian code. A dimension of nearly none says nothing about an example."""

    def report(self, batch):
        if "kl" not in self.model.terms:  # the KL to a mixture is no sum over dimensions
            return {}
        return {"kl_per_dimension": self.model.kl_per_dimension(batch["x"], batch.get("labels")).tolist()}

    def warnings(self, record):
        each = record.get("kl_per_dimension", [])
        empty = [f"z{i + 1}" for i, kl in enumerate(each) if kl < COLLAPSED]
        if not empty:
            return []
        named = ", ".join(empty[:NAMED]) + ", ..." * (len(empty) > NAMED)
        some = f"{len(empty)} of {len(each)} dimensions collapsed ({named}), with a KL below {COLLAPSED} nats"
        advice = "A beta-vae, with a low or rising beta or with free bits, may keep them"
        if "beta" in self.model.config:
            ways = setting("beta"), setting("warmup", "linear"), setting("free_bits")
            advice = "A lower {}, {} or {} may keep them".format(*ways)
        return [f"{some}: they say nothing of an example. {advice}"]


class CodebookUsage(Monitor):
    """The perplexity of the codes in use, by codebook, counted over an epoch."""

    def _usage(self):
        return self.model.state.tree["codebook"]["usage"]

    def report(self, batch):
        usage = self.model.backend.to_host(self._usage())
        return {"perplexity": quantize.perplexity(usage).tolist(), "codes_used": (usage > 0).sum(axis=1).tolist()}

    def end_epoch(self):
        self._usage().fill(0)

    def warnings(self, record):
        codes = self.model.code_count
        least = min(record.get("perplexity", [codes]))
        if least >= SPARSE * codes:
            return []
        return [
            f"the codebook collapsed: a perplexity of {least:.1f} over {codes} codes. A lower {flag('lr')}, "
            f"moving averages by {setting('ema', True)} or fewer {setting('codes')} may spread them"
        ]


class CodeProbabilities(Monitor):
    """How well a model of codes predicts them, in nats and bits per code and as an accuracy."""

    def report(self, batch):
        return self.model.measures(batch["x"], batch.get("labels"))


class Adversaries(Monitor):
    """Networks with opposing objectives: the terms of their game, and how much samples and codes differ.

    The term "accuracy" is the share of real and generated examples that the discriminator tells apart. A Wasserstein
    critic has the term "distance" instead.

    judges_codes: whether the discriminator sees codes instead of images. advice: what may help where the discriminator
    wins, with options in braces.
    """

    def __init__(self, model, judges_codes=False, advice="A lower {lr}"):
        super().__init__(model)
        self.judges_codes, self.advice = judges_codes, advice

    def report(self, batch):
        """-> ratios between what the generator makes and what the discriminator takes for real, 1 where they are alike.

        spread: how far examples lie from their mean. nearest: how far each sample lies from the nearest other one, in
        units of the spread; samples of few modes lie close together, however far apart the modes are. Codes of few
        numbers lie close together too, and so do the samples made from them: if codes are closer than the data, the
        samples are compared with the codes. gap, for a Wasserstein critic: the mean distance between a sample and a
        real example.
        """
        model = self.model
        x, n = batch["x"][:MEASURED], min(len(batch["x"]), MEASURED)
        if n < 2:
            return {}
        if self.judges_codes:  # the class in a code is no draw: what is measured is the style after it
            drawn, real = (codes[:, -model.style_dim :] for codes in (model.encode(x), model.draw_prior(n, seed=1)))
            return {"spread": _ratio(spread(drawn), spread(real))}
        drawn, real = (model.backend.to_host(model._inputs(images)) for images in (model.sample(n, seed=1), x))
        codes = model.backend.to_host(model.backend.noise(1).normal("codes", (n, model.latent_dim), model.dtype))
        apart = _ratio(mean_nearest_distance(drawn), min(mean_nearest_distance(real), mean_nearest_distance(codes)))
        found = {"spread": _ratio(spread(drawn), spread(real)), "nearest": apart}
        if "distance" in model.terms:
            found["gap"] = float(np.linalg.norm((drawn - real).reshape(n, -1), axis=1).mean())
        return found

    def alarms(self, records):
        """-> {name: line} of those of ALARMS that the latest epochs give cause for."""
        latest = _latest(records, MANY)
        if not latest:
            return {}
        terms = [record | record["train"] for record in latest]
        known = set(terms[0]).intersection(*terms) & {"accuracy", "distance", "spread", "nearest", "gap"}
        mean = {name: float(np.mean([epoch[name] for epoch in terms])) for name in known}
        if "distance" in mean:
            while_moved = _latest(records, MANY * max(phase.every for phase in self.model.phases))
            lowest = min((record["train"]["distance"] for record in while_moved), default=0)
            mean["stayed"] = lowest / max(1e-12, *(record["train"]["distance"] for record in records))
        what, whose = ("codes", "the prior") if self.judges_codes else ("samples", "the data")
        names = {"lr": flag("lr")} | {name: setting(name) for name in self.model.config}
        advice = self.advice.format(**names)
        return {
            name: text.format(many=MANY, what=what, whose=whose, advice=advice, **mean, **names)
            for name, (wrong, text) in ALARMS.items()
            if wrong(mean)
        }


def _latest(records, steps):
    """The fewest latest epochs, two at least, that had so many steps; none where all together had fewer."""
    ends = [0, *(record["step"] for record in records)]
    enough = (count for count in range(2, len(ends)) if ends[-1] - ends[-1 - count] >= steps)
    count = next(enough, 0)
    return records[len(records) - count :]


def spread(x):
    """Root mean squared deviation of examples (N, ...) from their mean example."""
    return float(np.sqrt(np.mean((x - x.mean(axis=0)) ** 2)))


def mean_nearest_distance(x):
    """The mean distance of examples (N, ...) from the nearest other one, over the root mean squared one of any two."""
    x = (x - x.mean(axis=0)).reshape(len(x), -1)
    squares = (x * x).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0))
    np.fill_diagonal(distances, np.inf)
    return _ratio(float(distances.min(axis=1).mean()), float(np.sqrt(2 * squares.sum() / (len(x) - 1))))


def _ratio(value, whole):
    return value / max(whole, 1e-12)


MONITORS = {
    "posterior-collapse": PosteriorCollapse, "codebook": CodebookUsage, "codes": CodeProbabilities,
    "adversaries": Adversaries,
}  # fmt: skip


def monitors_of(model):
    """The monitors that a model declares, in their order, each for this model."""

    def made(each):
        if isinstance(each, Monitored):
            return MONITORS[each.name](model, **each.facts)
        return (MONITORS[each] if isinstance(each, str) else each)(model)

    return list(map(made, model.monitors))
