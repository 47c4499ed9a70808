"""Gradients against central differences, in float64.

For a point p and a unit direction d the derivative of a scalar L is measured as

    n = (L(p + h d) - L(p - h d)) / 2h        (error O(h^2), rounding O(1e-16 |L| / h))

and compared with a = <gradient, d>. Directions are drawn over all inputs and parameters together, and within each
array alone, so that a failure says where. The relative error is |n - a| / max(|n|, |a|, |gradient| / sqrt(size)): the
last keeps a direction that happens to be orthogonal to the gradient from dividing by rounding.

A kink (ReLU at 0) within h of the point would spoil n, not the gradient. It shows: n at h and at h/2 then disagree,
which they cannot for a smooth L. Such a point is drawn again; the tolerance is never loosened.
"""

import functools
import itertools
import math

import numpy as np

from . import adversarial, image_losses, losses
from .backend import Noise
from .errors import ConfigError, suggest
from .latent import gaussian, kl_forms, mixture, quantize, sparsity
from .layers import REGISTRY
from .layers.base import Layer
from .params import nest, walk

TOLERANCE = 1e-6
STEP = 1e-5
POINTS = 20  # how often a point with a kink nearby is drawn again


class Report:
    """`name`, `max_relative_error`, `where` the worst was found, `checks` made, and `passed`."""

    def __init__(self, name, tolerance):
        self.name, self.tolerance, self.max_relative_error, self.where, self.checks = name, tolerance, 0.0, "", 0

    @property
    def passed(self):
        return self.checks > 0 and self.max_relative_error <= self.tolerance

    def add(self, error, where):
        self.checks += 1
        if not error <= self.max_relative_error:  # a NaN counts as the worst
            self.max_relative_error, self.where = (error if error == error else math.inf), where

    def __repr__(self):
        verdict = "passed" if self.passed else f"FAILED at {self.where}"
        return f"{self.name}: worst relative error {self.max_relative_error:.2e} in {self.checks} checks, {verdict}"


def gradcheck(subject, input_shape=None, *, seed=0, tolerance=TOLERANCE, directions=3, batch=3, train=True):
    """Check the gradients of a layer or a model -> Report.

    subject: a layer (then `input_shape`, without the batch axis, is needed) or a model, whose own input shape serves.
    A float32 model is checked through a float64 copy. batch: the number of examples. seed: of inputs, noise and
    directions.
    """
    if isinstance(subject, Layer):
        if input_shape is None:
            raise ConfigError(f"gradcheck of {subject!r} needs an input_shape")
        problems = [_layer_problem(subject, tuple(input_shape), batch, train)]
    elif hasattr(subject, "loss_and_grads"):
        problems = [_phase_problem(subject, phase.name, batch) for phase in subject.phases]
    else:
        raise ConfigError(f"gradcheck takes a layer or a model, got {type(subject).__name__}")
    return check(repr(subject), problems, seed, tolerance, directions)


def gradcheck_function(name, function, arrays, *, seed=0, tolerance=TOLERANCE, directions=3):
    """Check a function of float arrays that returns (loss, gradient by the first array, by the second, ...) -> Report.

    arrays: a function of a Noise that draws the arguments as a dict.
    """

    def make(noise):
        point = arrays(noise)

        def evaluate(p, gradients):
            loss, *grads = function(**p)
            return loss, dict(zip(p, grads, strict=True)) if gradients else None

        return point, evaluate

    return check(name, [make], seed, tolerance, directions)


def check(name, problems, seed, tolerance, directions):
    """The work behind every check. A problem is a function: make(noise) -> (point: dict of float64 arrays,
    evaluate(point, gradients) -> (loss, dict of gradients or None))."""
    report = Report(name, tolerance)
    for make, draw in itertools.product(problems, range(directions)):
        for attempt in range(POINTS):
            noise = Noise(seed, draw * POINTS + attempt)
            outcome = _check_point(*make(noise.child("point")), noise.child("direction"), tolerance)
            if outcome is not None:
                break
        else:
            report.add(math.inf, f"no point without a kink in {POINTS} draws")
            continue
        for error, where in outcome:
            report.add(error, where)
    return report


def _check_point(point, evaluate, noise, tolerance):
    """[(relative error, where)] over the directions at one point, or None where a kink is near."""
    loss, gradient = evaluate(point, True)
    errors = []
    subsets = [(key,) for key in point if point[key].size] + ([tuple(point)] if len(point) > 1 else [])
    for keys in subsets:
        direction = {key: noise.normal("+".join(keys) + "/" + key, point[key].shape, "float64") for key in keys}
        length = _norm(direction.values())
        direction = {key: d / length for key, d in direction.items()}
        analytic = sum(float((gradient[key] * d).sum()) for key, d in direction.items())
        size = sum(d.size for d in direction.values())
        typical = _norm([gradient[key] for key in keys]) / math.sqrt(size)

        coarse, fine = (_central_difference(point, evaluate, direction, h) for h in (STEP, STEP / 2))
        rounding = 1e-15 * max(abs(float(loss)), 1) / STEP
        scale = max(abs(coarse), abs(analytic), typical)
        if abs(coarse - fine) > 1e-7 * max(abs(coarse), typical) + 8 * rounding:
            return None
        # What is lost in rounding the losses is no error, be the derivative as small as it may.
        error = abs(coarse - analytic) / max(scale, 2 * rounding / tolerance)
        errors.append((error, ", ".join(keys) if len(keys) == 1 else "all together"))
    return errors


def _central_difference(point, evaluate, direction, h):
    def shifted(step):
        return evaluate({k: v + step * direction[k] if k in direction else v for k, v in point.items()}, False)[0]

    return float(shifted(h) - shifted(-h)) / (2 * h)


def _norm(arrays):
    return math.sqrt(sum(float((a * a).sum()) for a in arrays))


def _layer_problem(layer, input_shape, batch, train):
    """L = sum(r y) for a random r, which makes dL/dy = r."""

    def make(noise):
        shape = (batch, *input_shape)
        shapes = layer.param_shapes(input_shape)
        # Every parameter is drawn: at their initial values a zero bias or a scale of one would hide its gradient.
        point = {name: 0.5 * noise.normal(f"params.{name}", s, "float64") for name, s in walk(shapes)}
        if layer.integer_input is None:
            point["x"] = noise.normal("x", shape, "float64")
        else:
            integers = (noise.uniform("x", shape, "float64") * layer.integer_input).astype(np.int64)
        state = layer.init_state(input_shape, np, "float64")
        cotangent = noise.normal("cotangent", (batch, *layer.output_shape(input_shape)), "float64")

        def evaluate(p, gradients):
            params = nest(shapes, p)
            x = p["x"] if layer.integer_input is None else integers
            y, cache = layer.forward(params, x, train, noise.child("layer"), state)
            loss = (y * cotangent).sum()
            if not gradients:
                return loss, None
            grads = nest(shapes, {name: np.zeros_like(value) for name, value in p.items()})
            dx = layer.backward(params, cache, cotangent, grads)
            return loss, dict(walk(grads)) | ({} if dx is None else {"x": dx})

        return point, evaluate

    return make


def _phase_problem(model, name, batch):
    """The objective of one of the model's phases, over the parameters it trains; noise is fixed by (seed, step)."""
    twin = type(model)(**model.config, dtype="float64")
    (phase,) = (phase for phase in twin.phases if phase.name == name)

    def make(noise):
        data = twin.example_batch(noise, batch)
        for key, view in twin.store.named.items():
            view[...] += 0.1 * noise.normal(f"params.{key}", view.shape, "float64")
        trained = twin.store.part(phase.trains)
        point = {key: view.copy() for key, view in trained.named.items()}
        held = None

        def evaluate(p, gradients):
            nonlocal held
            for key, view in trained.named.items():
                view[...] = p[key]
            if not gradients:
                return held(), None
            held = twin.hold(phase, data, noise.seed, noise.step)
            grads = trained.like()
            terms = twin.phase_terms(phase, data, None, noise.seed, noise.step, grads=grads.tree)
            return terms[phase.objective], grads.named

        return point, evaluate

    return make


@functools.cache
def functions():
    """Losses and latent operations by name: (function of float arrays returning (loss, *gradients), their draw)."""

    def draw(*names, shape=(3, 4), **others):
        shapes = dict.fromkeys(names, shape) | others
        return lambda noise: {name: noise.normal(name, s, "float64") for name, s in shapes.items()}

    def fixed(name, shape=(3, 4), unit=False):
        noise = Noise(7).child("target")
        return noise.uniform(name, shape, "float64") if unit else noise.normal(name, shape, "float64")

    target, unit = fixed("target"), fixed("unit", unit=True)
    labels = np.array([[0, 4], [2, 2], [1, 3]])
    picture = fixed("picture", (2, 12, 13, 2), unit=True)
    noise, cotangent = fixed("noise"), fixed("cotangent")

    vectors, codes = fixed("vectors", (4, 2, 3)), np.array([[0, 3], [4, 0], [3, 3], [0, 1]])  # of five: 2 is unused

    def sample(mu, logvar):
        z, cache = gaussian.sample(mu, logvar, noise)
        return (z * cotangent).sum(), *gaussian.sample_backward(cache, cotangent)

    def unit_vectors(z):
        y, cache = quantize.unit(z)
        return (y * cotangent).sum(), quantize.unit_backward(cache, cotangent)

    return {
        "mse": (lambda prediction: losses.mse(prediction, target), draw("prediction")),
        "l1": (lambda prediction: losses.l1(prediction, target), draw("prediction")),
        "bce_with_logits": (lambda logits: losses.bce_with_logits(logits, unit), draw("logits")),
        "gaussian_nll": (lambda mu, logvar: losses.gaussian_nll(mu, target, logvar), draw("mu", "logvar")),
        "laplace_nll": (lambda mu, log_scale: losses.laplace_nll(mu, target, log_scale), draw("mu", "log_scale")),
        "cross_entropy_with_logits": (
            lambda logits: losses.cross_entropy_with_logits(logits, labels),
            draw("logits", shape=(3, 2, 5)),
        ),
        "ssim_loss": (
            lambda prediction: image_losses.ssim_loss(prediction, picture),
            draw("prediction", shape=picture.shape),
        ),
        "edge_weighted_mse": (
            lambda prediction: image_losses.edge_weighted_mse(prediction, picture),
            draw("prediction", shape=picture.shape),
        ),
        "sample": (sample, draw("mu", "logvar")),
        "kl_standard": (gaussian.kl_standard, draw("mu", "logvar")),
        "kl_to_mean": (gaussian.kl_to_mean, draw("mu", "logvar", "prior_mu")),
        "kl_between": (gaussian.kl_between, draw("mu", "logvar", "prior_mu", "prior_logvar")),
        "kl_free_bits": (lambda mu, logvar: kl_forms.kl_free_bits(mu, logvar, 0.5), draw("mu", "logvar")),
        "kl_to_capacity": (lambda mu, logvar: kl_forms.kl_to_capacity(mu, logvar, 4.0), draw("mu", "logvar")),
        "kl_to_mixture": (mixture.kl_to_mixture, draw("z", "logvar", logits=(3, 5), means=(5, 4))),
        "kl_to_uniform": (mixture.kl_to_uniform, draw("logits")),
        "l1_of_code": (sparsity.l1_of_code, draw("h")),
        "kl_to_rate": (lambda h: sparsity.kl_to_rate(h, 0.1), draw("h")),
        "codebook_loss": (
            lambda codebook: quantize.codebook_loss(vectors, codebook, codes),
            draw("codebook", shape=(5, 3)),
        ),
        "commitment_loss": (lambda z: quantize.commitment_loss(z, target), draw("z")),
        "unit": (unit_vectors, draw("z")),
        "discriminator_loss": (
            lambda real, fake: adversarial.discriminator_loss(real, fake, smoothing=0.1),
            draw("real", "fake", shape=(4, 1)),
        ),
        "generator_loss": (adversarial.generator_loss, draw("fake", shape=(4, 1))),
        "critic_loss": (adversarial.critic_loss, draw("real", "fake", shape=(4, 1))),
        "critic_generator_loss": (adversarial.critic_generator_loss, draw("fake", shape=(4, 1))),
    }


def names():
    """{name: kind} of all that can be checked."""
    from .models import NAMES

    kinds = {"layer": sorted(REGISTRY), "function": functions(), "model": NAMES}
    return {name: kind for kind, group in kinds.items() for name in group}


def check_by_name(name, seed=0, tolerance=TOLERANCE):
    """One Report per example of a layer, or one of a loss, a latent operation or a model, by name."""
    kind = names().get(name)
    if kind == "layer":
        for layer, shape in REGISTRY[name].examples():
            for train in (True, False):
                yield gradcheck(layer, shape, seed=seed, tolerance=tolerance, train=train)
    elif kind == "function":
        yield gradcheck_function(name, *functions()[name], seed=seed, tolerance=tolerance)
    elif kind == "model":
        from .models import NAMES

        for model in NAMES[name].examples():
            yield gradcheck(model, seed=seed, tolerance=tolerance)
    else:
        raise suggest("layer, function or model", name, names())
