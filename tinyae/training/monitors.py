"""Monitors of a training: posterior collapse, codebook usage, code probabilities, adversaries out of balance.

A model declares in `monitors` which of them watch it, by the names in MONITORS or as subclasses of `Monitor`.
"""

import numpy as np

from ..latent import quantize
from ..traits import Monitored
from ..wording import flag, setting

COLLAPSED = 0.01  # nats: a dimension with a smaller KL is reported as collapsed
NAMED = 10  # the largest number of collapsed dimensions that are named
SPARSE = 0.1  # a codebook has collapsed if its perplexity is below this share of its codes
MEASURED = 256  # the number of samples, and of real examples, that are compared
MANY = 500  # steps that an alarm looks back over; healthy runs can look the same for their first 100 steps
WON = 0.99  # accuracy above which a discriminator gives the generator next to no gradient
NARROW = 0.05  # lowest ratio of spreads; autoencoders that went on to learn have stayed at 0.1 for long
CROWDED = 0.2  # lowest ratio of nearest distances; healthy runs are at 0.5 or more from the first epochs on
STEEP = 2.0  # largest ratio of the critic's distance to the gap; in theory 1, and below 1 with a usual gradient penalty
IDLE = 0.9  # a generator that learns brings the distance below this share of its highest value

# {name: (predicate over the mean terms and reports of the latest epochs, message if it holds)}.
ALARMS = {
    "won": (
        lambda mean: mean.get("accuracy", 0) > WON,
        "the discriminator has been right on {accuracy:.1%} of the examples for {many} steps, so the network that it "
        "trains learns little. {advice} may help",
    ),
    "collapsed": (
        lambda mean: mean.get("spread", 1) < NARROW,
        "the {what} collapse: their standard deviation is {spread:.2g} times {whose}. A lower {lr} may help",
    ),
    "few": (
        lambda mean: mean.get("nearest", 1) < CROWDED,
        "mode collapse: the samples are much alike, the distance to the nearest other sample is {nearest:.2g} times "
        "that in the data. A lower {lr} may help",
    ),
    # A 1-Lipschitz critic has |D(x) - D(y)| <= |x - y|, so distance <= gap (Gulrajani et al. 2017, section 2.1).
    "steep": (
        lambda mean: mean.get("distance", 0) > STEEP * mean.get("gap", np.inf),
        "the critic is too steep: its outputs for data and samples differ by {distance:.3g}, but the images differ by "
        "only {gap:.3g}. A larger {penalty} may help",
    ),
    "behind": (
        lambda mean: mean.get("distance", 1) <= 0,
        "the critic does not separate samples from data: the distance is {distance:.3g}. A larger {critic_steps} may "
        "help",
    ),
    "idle": (
        lambda mean: mean.get("stayed", 0) > IDLE,
        "the generator does not learn: the critic's distance stays at its highest, {distance:.3g}. Another {lr} may "
        "help",
    ),
}


class Monitor:
    """Base class of objects that watch one model during one run. A subclass overrides the methods that it needs."""

    def __init__(self, model):
        self.model = model

    def report(self, batch):
        """{name: JSON value} to add to an epoch's record, measured on a batch of monitored data."""
        return {}

    def end_epoch(self):
        """Reset what is counted over an epoch; called after `report`."""

    def alarms(self, records):
        """{name: message} of what is wrong after the last of the epochs' records."""
        return {}

    def warnings(self, record):
        """Messages to show at the end of a run. record: the last epoch's."""
        return []


class PosteriorCollapse(Monitor):
    """Records the KL of each dimension of a Gaussian code, and warns about dimensions that carry no information."""

    def report(self, batch):
        if "kl" not in self.model.terms:  # the KL to a mixture prior is not a sum over dimensions
            return {}
        return {"kl_per_dimension": self.model.kl_per_dimension(batch["x"], batch.get("labels")).tolist()}

    def warnings(self, record):
        each = record.get("kl_per_dimension", [])
        empty = [f"z{i + 1}" for i, kl in enumerate(each) if kl < COLLAPSED]
        if not empty:
            return []
        named = ", ".join(empty[:NAMED]) + ", ..." * (len(empty) > NAMED)
        some = f"posterior collapse: {len(empty)} of {len(each)} dimensions of the code ({named}) are unused"
        advice = "A beta-vae, with a low or rising beta or with free bits, may prevent it"
        if "beta" in self.model.config:
            ways = setting("beta"), setting("warmup", "linear"), setting("free_bits")
            advice = "A lower {}, {} or {} may prevent it".format(*ways)
        return [f"{some}, with a KL below {COLLAPSED} nats. {advice}"]


class CodebookUsage(Monitor):
    """Records the perplexity of each codebook over an epoch, and warns about a codebook that has collapsed."""

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
            f"the codebook collapsed: its perplexity is {least:.1f}, for {codes} codes. A lower {flag('lr')}, "
            f"moving averages ({setting('ema', True)}) or fewer {setting('codes')} may help"
        ]


class CodeProbabilities(Monitor):
    """Records how well a model predicts codes: in nats and in bits per code, and as an accuracy."""

    def report(self, batch):
        return self.model.measures(batch["x"], batch.get("labels"))


class Adversaries(Monitor):
    """Watches adversarial training: the balance of the networks, and how varied the samples are.

    The term "accuracy" is the share of real and generated examples that the discriminator classifies correctly. A
    Wasserstein critic has the term "distance" instead, the difference of its mean outputs for data and samples.

    judges_codes: whether the discriminator's inputs are codes instead of images. advice: text on what may help if the
    discriminator wins, with options in braces.
    """

    def __init__(self, model, judges_codes=False, advice="A lower {lr}"):
        super().__init__(model)
        self.judges_codes, self.advice = judges_codes, advice

    def report(self, batch):
        """Ratios between generated and real examples, which are 1 if both vary equally.

        spread: the ratio of their standard deviations. nearest: the ratio of the mean distances to the nearest other
        example, each in units of the spread; it is small if the samples have few modes, however far apart the modes
        are. Codes with few dimensions are close together too, and so are samples decoded from them: if codes are
        closer than the data, the samples are compared with codes. gap, for a Wasserstein critic: the mean distance
        between a sample and a real example.
        """
        model = self.model
        x, n = batch["x"][:MEASURED], min(len(batch["x"]), MEASURED)
        if n < 2:
            return {}
        if self.judges_codes:  # the style is compared: the class in front of it in a code is not sampled
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
        """{name: message} of the entries of ALARMS whose predicate holds for the latest epochs."""
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
    """The latest records, at least two, that span at least `steps` steps; none if the whole run is shorter."""
    ends = [0, *(record["step"] for record in records)]
    enough = (count for count in range(2, len(ends)) if ends[-1] - ends[-1 - count] >= steps)
    count = next(enough, 0)
    return records[len(records) - count :]


def spread(x):
    """The root mean square deviation of examples (N, ...) from their mean."""
    return float(np.sqrt(np.mean((x - x.mean(axis=0)) ** 2)))


def mean_nearest_distance(x):
    """The mean distance of examples (N, ...) to the nearest other one, divided by the RMS distance of all pairs."""
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
    """Make the monitors that a model declares, in their order."""

    def made(each):
        if isinstance(each, Monitored):
            return MONITORS[each.name](model, **each.facts)
        return (MONITORS[each] if isinstance(each, str) else each)(model)

    return list(map(made, model.monitors))
