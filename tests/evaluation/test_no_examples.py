"""Functions of examples, codes and labels refuse what is no set of them, in tinyae's own words."""

import numpy as np
import pytest

from tinyae import explore
from tinyae.errors import ConfigError, DataError, ShapeError
from tinyae.evaluation import anomaly, compression, disentanglement, diversity, neighbours, parzen, probe, quality
from tinyae.models import CVAE, VAE

MODEL = VAE(input_shape=(4, 4, 1), hidden=(), latent_dim=2)
LABELLED = CVAE(input_shape=(4, 4, 1), hidden=(), latent_dim=2, classes=2)
X, LABELS = np.full((4, 4, 4, 1), 0.5, "float32"), np.array([0, 1, 0, 1])
CODES = np.array([[0, 1], [2, 3], [4, 5], [6, 8]], "float64")
FACTORS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])

OF_EXAMPLES = {
    "errors": lambda x: quality.errors(MODEL, x),
    "reconstruction_quality": lambda x: quality.reconstruction_quality(MODEL, x),
    "scores": lambda x: anomaly.scores(MODEL, x),
    "error_over_variance": lambda x: compression.error_over_variance(MODEL, x),
    "nearest_images": lambda x: diversity.nearest_images(x, X),
    "nearest_images among": lambda x: diversity.nearest_images(X, x),
    "parzen": lambda x: parzen.parzen(x, X, X),
    "disentanglement": lambda x: disentanglement.disentanglement(MODEL.encode, x, FACTORS),
}


@pytest.mark.parametrize("x", [np.float32(0.5), X[:0], []], ids=["a number", "no images", "an empty list"])
@pytest.mark.parametrize("name", OF_EXAMPLES)
def test_no_examples_are_refused(name, x):
    with pytest.raises(ShapeError, match="no examples"):
        OF_EXAMPLES[name](x)


@pytest.mark.parametrize(
    "call",
    [
        lambda: probe.LinearProbe(2).fit(CODES, LABELS).score(CODES, None),
        lambda: diversity.shares(None, 2),
        lambda: explore.transfer(LABELLED, X, LABELS, None),
    ],
)
def test_missing_labels_are_refused(call):
    with pytest.raises((ConfigError, DataError), match="needs labels, and there are none"):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: neighbours.vote(LABELS),
        lambda: neighbours.vote(np.zeros((3, 0), int)),
        lambda: LABELLED.across(np.float32(1)),
        lambda: LABELLED.across(CODES[0]),
        lambda: explore.decode(MODEL, CODES),
        lambda: explore.plane(3, 2, codes=CODES[0]),
        lambda: explore.plane(3, 2, codes=CODES[:0]),
        lambda: explore.plane(3, 2, codes=np.hstack([CODES, CODES])),
        lambda: explore.plane(3, 2, centre=[0, 0, 0]),
        lambda: explore.plane(3, 2, centre=[CODES[0]]),
        lambda: probe.LinearProbe(2).fit(CODES, LABELS).predict(CODES[:, :1]),
    ],
)
def test_codes_of_another_shape_are_refused(call):
    with pytest.raises(ShapeError, match="expected|the probe was fitted to codes"):
        call()


@pytest.mark.parametrize(
    "given, said",
    [
        ({"chosen": (0, 2)}, "dimension 3: this code has dimensions 1 to 2"),
        ({"chosen": (0, -1)}, "dimension 0: this code has dimensions 1 to 2"),
        ({"chosen": (1, 1)}, "two different dimensions, got 2 and 2"),
        ({"low": 0}, "low: expected a number above 0 and below 1, got 0"),
        ({"high": 1.5}, "high: expected a number above 0 and below 1, got 1.5"),
        ({"side": 0}, "side"),
        ({"side": 2.5}, "side"),
        ({"chosen": (0, 0.5)}, r"chosen: expected dimensions of a code, integers counted from 0, got \(0, 0.5\)"),
    ],
)
def test_a_plane_that_cannot_be_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        explore.plane(**{"side": 3, "latent_dim": 2} | given)
