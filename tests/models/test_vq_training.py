"""Training `vq-vae`: what it learns, what its records say, resuming bit for bit, and what is refused."""

import numpy as np
import pytest
from killing import Killed, KilledAt

import tinyae
from tinyae import models
from tinyae.backend import Noise
from tinyae.errors import DataError, DivergedError
from tinyae.latent.quantize import perplexity
from tinyae.training import loop, progress
from tinyae.training.monitors import CodebookUsage

SMALL = dict(input_shape=(8, 8, 1), network="small", codes=32, latent_dim=8)
LEARNING = {
    "loss": {},
    "ema": dict(ema=True),
    "grouped": dict(codebooks=2, codes=12),
    "residual-ema": dict(codebooks=2, codes=32, residual_codes=True, ema=True),
    "cosine": dict(cosine=True),
}
each_learning = pytest.mark.parametrize("learning", LEARNING)


@pytest.fixture(scope="module")
def digits():
    """Real images, (600, 8, 8, 1) uint8."""
    return tinyae.data.load("digits").train.x[:600]


def make(learning="loss", **options):
    return models.VQVAE(**SMALL | LEARNING[learning] | options)


def fit(model, x, **options):
    return tinyae.fit(model, x, **{"epochs": 2, "batch_size": 50, "progress": False} | options)


@each_learning
def test_it_learns(learning, digits):
    """Reconstructions of images it has not seen, and codes in use: far from where it began."""
    model, unseen = make(learning), digits[500:]
    fit(model, digits[:500], epochs=1, lr=1e-30)  # the codes of k-means, the networks as drawn
    before = float(model.loss({"x": unseen})["reconstruction"])
    model = make(learning)
    history = fit(model, digits[:500], epochs=8, lr=4e-3)
    assert float(model.loss({"x": unseen})["reconstruction"]) < 0.35 * before
    variance = (unseen / 255).var()
    assert ((model.reconstruct(unseen) - unseen / 255) ** 2).mean() < 0.4 * variance
    assert min(history.records[-1]["perplexity"]) > 0.2 * model.code_count
    assert (perplexity(model.usage(unseen)) > 0.2 * model.code_count).all()


@pytest.mark.parametrize("learning", ("loss", "ema"))
def test_a_second_training_goes_on_with_the_codes(learning, digits):
    """The decoder was trained with the existing codes: running k-means again would undo what it learned."""
    model = make(learning)
    fit(model, digits[:200], lr=2e-3)
    before = model.store.flat.copy(), model.state.flat.copy()
    model.begin({"x": digits[:50] // 2}, Noise(3))
    np.testing.assert_array_equal(model.store.flat, before[0])
    np.testing.assert_array_equal(model.state.flat, before[1])


def test_perplexity_is_counted_over_the_epoch(digits):
    """With constant codes it equals the perplexity over the whole data set; over one batch it would be lower."""
    model = make(restart=False)
    history = fit(model, digits, lr=1e-30, batch_size=10)
    usage = model.usage(digits)
    assert usage.sum() == 600 * 4
    assert not model.state.named["codebook.usage"].any(), "the next epoch counts anew"
    for record in history.records:
        assert record["perplexity"] == pytest.approx([float(perplexity(usage[0]))], rel=1e-5)
        assert record["codes_used"] == [(usage > 0).sum()]
    batches = [float(perplexity(model.usage(digits[i : i + 10])[0])) for i in range(0, 600, 10)]
    assert max(batches) < 0.95 * history.records[0]["perplexity"][0]


def test_a_record_has_a_perplexity_for_each_codebook(digits):
    record = fit(make("grouped"), digits[:100], epochs=1).records[0]
    assert len(record["perplexity"]) == len(record["codes_used"]) == 2
    assert list(record["train"]) == ["loss", "reconstruction", "codebook", "commitment"]
    assert list(fit(make("ema"), digits[:100], epochs=1).records[0]["train"]) == [
        "loss",
        "reconstruction",
        "commitment",
    ]


class Told(progress.Silent):
    def __init__(self):
        self.texts = []

    def message(self, text):
        self.texts.append(text)


def test_a_collapsed_codebook_is_said_at_the_end(digits, monkeypatch):
    told, grey = Told(), np.full((100, 8, 8, 1), 77, np.uint8)
    fit(make(codes=64), grey, progress=told)  # each image has four codes
    assert told.texts == [], "a few steps say nothing yet"
    monkeypatch.setattr(loop, "LONG", 4)
    fit(make(codes=64), grey, progress=told)
    assert len(told.texts) == 1 and "\n" not in told.texts[0]
    assert told.texts[0].startswith("the codebook collapsed: its perplexity is ") and "for 64 codes" in told.texts[0]
    told = Told()
    fit(make(), digits, progress=told)
    assert told.texts == []


@pytest.mark.parametrize("perplexities, lines", [([3.3], 0), ([3.1], 1), ([20.0, 1.0], 1), ([20.0, 30.0], 0)])
def test_the_least_used_codebook_decides(perplexities, lines):
    assert len(CodebookUsage(make()).warnings({"perplexity": perplexities})) == lines


@pytest.mark.parametrize("learning, killed_at", [("ema", 3), *((learning, 7) for learning in LEARNING)])
def test_a_run_killed_within_an_epoch_ends_on_the_same_bits(learning, killed_at, digits, tmp_path):
    """Codes die and are restarted before and after: parameters, moving averages, counts and records."""

    options, x = dict(epochs=3, lr=2e-3, checkpoint_every=0.0), digits[:250]
    whole = make(learning, decay=0.5)
    expected = fit(whole, x, **options)
    with pytest.raises(Killed):
        fit(make(learning, decay=0.5), x, out=tmp_path, **options | {"progress": KilledAt(killed_at)})
    resumed = make(learning, decay=0.5)
    history = fit(resumed, x, out=tmp_path, resume=True, **options)
    assert history.records == expected.records and history.steps == 15
    np.testing.assert_array_equal(resumed.store.flat, whole.store.flat)
    np.testing.assert_array_equal(resumed.state.flat, whole.state.flat)
    loaded = tinyae.load(tmp_path / "last.npz")
    np.testing.assert_array_equal(loaded.state.flat, whole.state.flat)
    np.testing.assert_array_equal(loaded.encode(x), whole.encode(x))
    np.testing.assert_array_equal(loaded.reconstruct(x), whole.reconstruct(x))
    unrestarted = make(learning, decay=0.5, restart=False)
    fit(unrestarted, x, **options)
    assert (unrestarted.store.flat != whole.store.flat).any(), "no code was restarted in this run"


def test_any_number_of_threads_gives_the_same_bits(digits):
    flats = []
    for threads in (1, 2, 3):
        model = make("ema")
        fit(model, digits[:200], batch_size=140, threads=threads)
        flats.append(np.concatenate((model.store.flat, model.state.flat)))
    np.testing.assert_array_equal(flats[1], flats[0])
    np.testing.assert_array_equal(flats[2], flats[0])


def test_data_with_nan_are_refused(digits):
    x = (digits[:20] / 255).astype("float32")
    x[3, 2, 2, 0] = np.nan
    with pytest.raises(DataError, match="the data have NaN or infinite values, the first in example 3"):
        fit(make(), x)


@pytest.mark.parametrize("learning", ("loss", "ema"))
def test_a_divergence_is_one_error_and_no_warning(learning, digits):
    with pytest.raises(DivergedError) as caught:
        fit(make(learning), digits[:100], epochs=20, optimizer="sgd", lr=1e9)
    assert "\n" not in str(caught.value)
