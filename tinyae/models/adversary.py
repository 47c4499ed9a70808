"""What models share whose networks work against each other: phases, and what goes wrong in them."""

import numpy as np

from ..wording import flag, setting
from .model import Model

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


class Adversary(Model):
    """The base of models whose networks have opposing objectives.

    A subclass gives `phases`, and each phase's step writes its forward and its backward out. A network that a phase
    does not train is frozen: it passes gradients on and gets none.

    The term "accuracy" is the share of real and drawn examples that the discriminator tells apart, and "loss" that of
    the phase which trains what makes images. A Wasserstein critic has the term "distance" instead.
    """

    generative = True
    advice = "A lower {lr}"  # where the discriminator wins; in braces what the reader may change
    last_is_best = True  # each side's loss says how good the other one is

    @property
    def judges_codes(self):
        """Whether the discriminator tells codes from draws of a prior, instead of drawn images from real ones."""
        return hasattr(self, "draw_prior")

    def report(self, batch):
        """How different from one another those are that the discriminator is to take for real, beside real ones.

        `spread`: of all of them, 1 if it is as wide. `nearest`, of samples: from each to the nearest other one, in
        units of the spread, 1 if it is as far; few kinds of samples lie close together, however far apart the kinds
        are. Codes of few numbers lie close too, and what is drawn from them with them: if closer than the data, they
        are what is compared with. `gap` of a Wasserstein critic: the mean distance between a sample and real data.
        """
        x, n = batch["x"][:MEASURED], min(len(batch["x"]), MEASURED)
        if n < 2:
            return {}
        if self.judges_codes:  # the class in a code is no draw: what is measured is the style after it
            drawn, real = (codes[:, -self.style_dim :] for codes in (self.encode(x), self.draw_prior(n, seed=1)))
            return {"spread": _ratio(spread(drawn), spread(real))}
        drawn, real = (self.backend.to_host(self._inputs(images)) for images in (self.sample(n, seed=1), x))
        codes = self.backend.to_host(self.backend.noise(1).normal("codes", (n, self.latent_dim), self.dtype))
        apart = _ratio(nearest(drawn), min(nearest(real), nearest(codes)))
        found = {"spread": _ratio(spread(drawn), spread(real)), "nearest": apart}
        if "distance" in self.terms:
            found["gap"] = float(np.linalg.norm((drawn - real).reshape(n, -1), axis=1).mean())
        return found

    def alarms(self, records):
        """{name: line} of those of ALARMS that the latest epochs give cause for."""
        latest = _latest(records, MANY)
        if not latest:
            return {}
        terms = [record | record["train"] for record in latest]
        known = set(terms[0]).intersection(*terms) & {"accuracy", "distance", "spread", "nearest", "gap"}
        mean = {name: float(np.mean([epoch[name] for epoch in terms])) for name in known}
        if "distance" in mean:
            while_moved = _latest(records, MANY * max(phase.every for phase in self.phases))
            lowest = min((record["train"]["distance"] for record in while_moved), default=0)
            mean["stayed"] = lowest / max(1e-12, *(record["train"]["distance"] for record in records))
        what, whose = ("codes", "the prior") if self.judges_codes else ("samples", "the data")
        names = {"lr": flag("lr")} | {name: setting(name) for name in self.config}
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


def nearest(x):
    """The mean distance of examples (N, ...) from the nearest other one, over the root mean squared one of any two."""
    x = (x - x.mean(axis=0)).reshape(len(x), -1)
    squares = (x * x).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0))
    np.fill_diagonal(distances, np.inf)
    return _ratio(float(distances.min(axis=1).mean()), float(np.sqrt(2 * squares.sum() / (len(x) - 1))))


def _ratio(value, whole):
    return value / max(whole, 1e-12)
