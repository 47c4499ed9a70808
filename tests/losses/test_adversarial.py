"""The losses of both sides of a game, against their definitions in probabilities, number by number."""

import math

import numpy as np
import pytest
from devices import assert_same

from tinyae.gradcheck import check_by_name
from tinyae.losses import adversarial

REAL, FAKE = np.array([[0.3], [-1.2], [2.5]]), np.array([[-0.4], [0.9], [0.0]])


def p(logit):
    return 1 / (1 + math.exp(-logit))


def mean(values):
    return math.fsum(values) / len(values)


@pytest.mark.parametrize("smoothing", (0.0, 0.1))
def test_discriminator_loss(smoothing):
    loss, _, _ = adversarial.discriminator_loss(REAL, FAKE, smoothing)
    real = mean([(1 - smoothing) * math.log(p(v)) + smoothing * math.log(1 - p(v)) for v in REAL[:, 0]])
    assert loss == pytest.approx(-real - mean([math.log(1 - p(v)) for v in FAKE[:, 0]]), rel=1e-14)


def test_smoothing_moves_the_best_logit_of_real_examples_alone():
    """At p(real) = 1 - s and p(fake) = 0 there is no gradient left."""
    best = math.log(0.9 / 0.1)
    _, dreal, dfake = adversarial.discriminator_loss(np.full((4, 1), best), np.full((4, 1), -50.0), 0.1)
    np.testing.assert_allclose(dreal, 0, atol=1e-16)
    np.testing.assert_allclose(dfake, 0, atol=1e-16)


def test_generator_losses():
    assert adversarial.generator_loss(FAKE)[0] == pytest.approx(-mean([math.log(p(v)) for v in FAKE[:, 0]]), rel=1e-14)
    assert adversarial.critic_generator_loss(FAKE)[0] == pytest.approx(-mean(FAKE[:, 0]), rel=1e-14)


def test_the_generator_learns_most_where_it_fools_nobody():
    """-log p keeps a slope of 1 where log(1 - p) has none."""
    _, dfake = adversarial.generator_loss(np.array([[-40.0]]))
    assert dfake[0, 0] == pytest.approx(-1)
    _, _, saturated = adversarial.discriminator_loss(FAKE[:1], np.array([[-40.0]]))
    assert abs(saturated[0, 0]) < 1e-15


def test_critic_loss_is_less_the_distance():
    assert adversarial.critic_loss(REAL, FAKE)[0] == pytest.approx(mean(FAKE[:, 0]) - mean(REAL[:, 0]), rel=1e-14)


def test_accuracy_counts_both_kinds():
    assert adversarial.accuracy(REAL, FAKE) == pytest.approx((2 + 1) / 6)  # a logit of 0 is told neither way
    assert adversarial.accuracy(np.full((2, 1), 9.0), np.full((2, 1), -9.0)) == 1


@pytest.mark.parametrize("logit", (1e4, -1e4))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_no_logit_is_too_large(logit, dtype):
    x = np.full((2, 1), logit, dtype)
    for value in (*adversarial.discriminator_loss(x, x, 0.1), *adversarial.generator_loss(x)):
        assert np.isfinite(value).all() and value.dtype == dtype


NAMES = ("discriminator_loss", "generator_loss", "critic_loss", "critic_generator_loss")


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    assert all(report.passed for report in check_by_name(name))


@pytest.mark.parametrize("name", (*NAMES, "accuracy"))
@pytest.mark.parametrize("dtype", ("float32", "float64"))
def test_parts_sum_to_the_whole_on_every_device(name, dtype, device):
    """Gradients of the logits' shape and dtype; nothing is moved to the host."""
    function = getattr(adversarial, name)
    logits = [device.array(a.astype(dtype)) for a in ((FAKE,) if "generator" in name else (REAL, FAKE))]
    before = getattr(device.xp, "host_syncs", 0)
    cuts = slice(3), slice(2), slice(2, 3)
    whole, first, rest = (function(*(a[rows] for a in logits), batch_size=3) for rows in cuts)
    assert getattr(device.xp, "host_syncs", 0) == before
    if name == "accuracy":
        assert float(device.host(whole)) == pytest.approx(float(device.host(first)) + float(device.host(rest)))
        return
    (loss, *grads), (one, *ones), (two, *twos) = (device.host(found) for found in (whole, first, rest))
    assert loss == pytest.approx(one + two, rel=1e-6)
    assert_same(grads, [np.concatenate(pair) for pair in zip(ones, twos, strict=True)], 1e-7)
    assert all(g.shape == (3, 1) and g.dtype == dtype for g in grads)
