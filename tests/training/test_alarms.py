"""What goes wrong between networks that work against each other is named, and nothing is named that does not.

Failures are provoked in small trainings on digits: a side that is held still or runs away, a critic that nothing holds,
numbers that are not finite, and a stop in the midst of a step.
"""

import functools
import json
import os
import signal

import numpy as np
import pytest

import tinyae
from tinyae.checkpoint.files import read
from tinyae.errors import DivergedError
from tinyae.models import NAMES
from tinyae.params import walk
from tinyae.training import progress
from tinyae.training.monitors import CROWDED, MANY, Adversaries, mean_nearest_distance, monitors_of, spread

SMALL = {
    "aae": dict(hidden=(64,), units=(32,)),
    "semi-aae": dict(hidden=(64,), units=(32,), labelled=20),
    "gan": dict(hidden=(64, 32), latent_dim=8),
    "critic": dict(hidden=(64, 32), latent_dim=8, dropout=0.0, loss="wasserstein", critic_steps=3),
    "vae-gan": dict(channels=(4,), units=16, latent_dim=4),
}
PHASES = [
    ("aae", "reconstruction"), ("aae", "discriminator"), ("aae", "generator"),
    ("semi-aae", "discriminators"), ("semi-aae", "generator"), ("semi-aae", "classes"),
    ("gan", "discriminator"), ("gan", "generator"), ("critic", "discriminator"), ("critic", "generator"),
    ("vae-gan", "encoder"), ("vae-gan", "decoder"), ("vae-gan", "discriminator"),
]  # fmt: skip


@pytest.fixture(scope="module")
def digits():
    data = tinyae.data.load("digits").train
    return data.x[:480], data.labels[:480]


def make(name, **options):
    return NAMES["gan" if name == "critic" else name](input_shape=(8, 8, 1), **SMALL[name] | options)


def train(model, data, epochs=36, batch_size=32, **options):
    return tinyae.fit(model, data, epochs=epochs, batch_size=batch_size, **{"progress": False, "threads": 1} | options)


@functools.cache
def whole(name):
    """A short training that nothing stops: its model and its records."""
    model = make(name)
    return model, train(model, few(), 3).records


def few():
    """128 of the digits: four steps an epoch."""
    data = tinyae.data.load("digits").train
    return data.x[:128], data.labels[:128]


def assert_goes_on_as_if_nothing_had_been(name, folder):
    model, (uninterrupted, records) = make(name), whole(name)
    assert train(model, few(), 3, out=folder, resume=True).records == records
    np.testing.assert_array_equal(model.store.flat, uninterrupted.store.flat)
    np.testing.assert_array_equal(model.state.flat, uninterrupted.state.flat)


def rates(model, **factors):
    """The model, the learning rates of its phases multiplied by factors."""
    phases = model.phases
    for phase in phases:
        phase.rate *= factors.get(phase.name, 1)
    return held(model, phases)


def meddled(model, name, meddle):
    """The model, a phase's step within `meddle(step, the gradients of the networks that it trains)`."""
    phases = model.phases
    (phase,) = (phase for phase in phases if phase.name == name)
    step = phase.step

    def meddled_step(net, **batch):
        return meddle(lambda: step(net, **batch), {name: getattr(net, name).grads for name in phase.trains})

    phase.step = meddled_step
    return held(model, phases)


def held(model, phases):
    kind = type(model)
    model.__class__ = type(kind.__name__, (kind,), {"phases": phases})
    return model


def alarms(history):
    return set().union(*(record.get("alarms", {}) for record in history.records))


# alarms of what does not learn


@pytest.mark.parametrize("name, options", [(name, {}) for name in SMALL] + [("aae", dict(classes=10))])
def test_a_sound_training_is_silent(name, options, digits):
    history = train(make(name, **options), digits)
    assert history.steps > MANY and alarms(history) == set()


@pytest.mark.parametrize(
    "name, options, factors, lr, alarm",
    [
        ("gan", dict(dropout=0.0), dict(generator=10), 5e-3, "few"),
        ("gan", dict(dropout=0.0, hidden=(128, 64), dtype="float64"), {}, 0.1, "few"),  # chaos, alike on any processor
        ("aae", dict(scale=30.0), dict(generator=1e-6), 1e-3, "collapsed"),
        ("critic", dict(penalty=0), {}, 1e-3, "steep"),
        ("critic", {}, dict(discriminator=1e-4), 1e-3, "behind"),
        ("critic", dict(critic_steps=1), dict(generator=1e-6), 1e-3, "idle"),
    ],
)
def test_a_failure_is_named(name, options, factors, lr, alarm, digits):
    history = train(rates(make(name, **options), **factors), digits, 60 if alarm == "idle" else 36, lr=lr)
    found = alarms(history)
    assert alarm in found and found <= {"won", "collapsed", "few"} or found == {alarm}
    assert all("\n" not in text for text in history.records[-1]["alarms"].values())


def adversaries(model):
    """The monitor of its adversaries that the model declares."""
    return next(monitor for monitor in monitors_of(model) if isinstance(monitor, Adversaries))


def records(accuracies, length=100):
    return [{"epoch": i + 1, "step": length * (i + 1), "train": {"accuracy": a}} for i, a in enumerate(accuracies)]


def test_an_alarm_waits_for_many_steps_and_two_epochs():
    model = Adversaries(make("gan"))
    assert MANY == 500
    assert not model.alarms(records([1.0] * 4)) and model.alarms(records([1.0] * 5)).keys() == {"won"}
    assert not model.alarms(records([0.7, 1.0, 1.0, 1.0, 1.0])), "a first win that ends"
    assert model.alarms(records([0.7] + [1.0] * 5)) and not model.alarms(records([1.0] * 9 + [0.9]))
    assert not model.alarms(records([1.0], 1000)) and model.alarms(records([1.0] * 2, 1000))


@pytest.mark.parametrize("name", ("aae", "semi-aae", "gan", "vae-gan"))
def test_the_advice_is_of_options_that_the_model_has(name):
    told = adversaries(make(name)).alarms(records([1.0] * 9))["won"]
    options = ("discriminator_rate", "generator_rate", "dropout", "smoothing")
    named = [option for option in options if option in told]
    assert named == {"aae": list(options[:2]), "gan": list(options[2:])}.get(name, [])
    assert named or "A lower lr may help" in told


def test_records_of_a_run_that_began_without_the_measures():
    told = records([0.7] * 9)
    told[-1] |= {"spread": 0.01, "nearest": 0.01}
    assert Adversaries(make("gan")).alarms(told) == {}


def test_a_collapse_onto_few_kinds_lies_close_however_far_apart_they_are():
    draw = np.random.default_rng(0).normal
    kinds = draw(size=(4, 50))[np.arange(256) % 4] + 0.02 * draw(size=(256, 50))
    data = draw(size=(256, 50))
    assert spread(kinds) / spread(data) > 0.8
    assert mean_nearest_distance(kinds) / mean_nearest_distance(data) < CROWDED / 4
    assert mean_nearest_distance(3 * data + 7) == pytest.approx(mean_nearest_distance(data))


def test_nearest_by_its_definition():
    x = np.random.default_rng(0).normal(size=(7, 2, 3))
    apart = [[np.sqrt(((a - b) ** 2).sum()) for b in x] for a in x]
    near = np.mean([min(apart[i][j] for j in range(7) if j != i) for i in range(7)])
    whole = np.sqrt(np.mean([apart[i][j] ** 2 for i in range(7) for j in range(7) if j != i]))
    assert mean_nearest_distance(x) == pytest.approx(near / whole)
    assert mean_nearest_distance(np.ones((5, 3))) == 0


@pytest.mark.parametrize("name", SMALL)
def test_the_report_on_a_device(name, digits, gpu):
    """Of the codes or the samples of an untrained model: the numbers of NumPy."""
    x, _ = digits
    found, expected = (
        adversaries(make(name, backend=backend, dtype="float64")).report({"x": xp.asarray(x)})
        for backend, xp in (("cupy", gpu.xp), ("numpy", np))
    )
    for measure in {"spread", "nearest", "gap"} & found.keys():
        assert found[measure] == pytest.approx(expected[measure], rel=1e-6) and found[measure] > 0
    assert "spread" in found and ("nearest" in found) == ("aae" not in name) and ("gap" in found) == (name == "critic")


def test_samples_of_standardised_rows_are_measured_in_the_same_units():
    rows = np.random.default_rng(0).normal(size=(400, 6)) * [1e-3, 1, 1, 1, 1, 1e3]
    model = NAMES["gan"](6, output="linear", hidden=(64, 32), latent_dim=8, dropout=0.0)
    history = train(model, rows.astype("float32"), 10, standardize=True)
    assert history.records[-1]["spread"] == pytest.approx(spread(model._inputs(model.sample(256, seed=1))), rel=0.1)


class Heard(progress.Silent):
    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)


def test_an_alarm_is_told_as_it_begins_and_at_the_end_and_stays_in_the_records(digits, tmp_path):
    heard = Heard()
    history = train(rates(make("gan"), generator=1e-3), digits, out=tmp_path, progress=heard)
    first, *_, last = [record["alarms"]["won"] for record in history.records if "alarms" in record]
    begun = next(record["epoch"] for record in history.records if "alarms" in record)
    assert 33 < begun < 36 and heard.lines == [f"epoch {begun}: {first}", last]
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == history.records


def test_epochs_with_alarms_are_tinted_in_the_curves(tmp_path):
    pytest.importorskip("matplotlib")
    Image = pytest.importorskip("PIL.Image")
    from matplotlib.colors import to_rgb

    from tinyae.plot.training_curves import ALARM, curves

    told, tints = records([0.7] * 4), []
    for number in (0, 1, 2):
        for record in told[:number]:
            record["alarms"] = {"won": "a line"}
        pixels = np.asarray(Image.open(curves(tmp_path / "curves.png", told)).convert("RGB"))
        tints.append(int((np.abs(pixels - 255 * np.array(to_rgb(ALARM))).max(axis=2) < 1).sum()))
    assert tints[0] == 0 and tints[2] > 1.5 * tints[1] > 0


# values that are not finite stop the training


@pytest.mark.parametrize("fault", ("loss", "gradient"))
@pytest.mark.parametrize("name, phase", PHASES)
def test_what_is_not_finite_stops_the_training_in_a_line_that_names_the_phase(name, phase, fault, tmp_path):
    """In the second epoch. What was saved is from before, and goes on to the same end."""
    calls, moves = [], (name, phase) != ("critic", "generator")

    def poison(step, grads):
        terms = step()
        calls.append(phase)
        if len(calls) == (8 if moves else 3):  # a critic's generator moves in the steps 1, 4 and 7
            if fault == "loss":
                terms = terms | {list(terms)[0]: np.float32("nan")}
            else:
                next(iter(walk(grads)))[1][...] = np.nan
        return terms

    with pytest.raises(DivergedError) as caught:
        train(meddled(make(name), phase, poison), few(), 3, out=tmp_path)
    text = str(caught.value)
    assert "\n" not in text and "Saved checkpoints are from before" in text
    if fault == "loss":
        assert text.startswith(f"training diverged at step {8 if moves else 7} (epoch 2): ")
        assert f" of phase {phase} is nan." in text
    else:
        assert f"after a gradient of phase {phase} that was not finite" in text
    saved = read(tmp_path / "last.npz")
    assert saved.training["step"] == 4 and all(np.isfinite(array).all() for array in saved.arrays.values())
    assert_goes_on_as_if_nothing_had_been(name, tmp_path)


def test_a_last_update_that_is_not_finite_is_noticed_without_a_folder(digits):
    def poison(step, grads):
        result = step()
        next(iter(walk(grads)))[1][...] = np.inf
        return result

    with pytest.raises(DivergedError, match=r"at step 1 \(epoch 1\): parameters .*gradient of phase generator that"):
        train(meddled(make("gan"), "generator", poison), digits, 1, batch_size=640)


# stopped in the midst of a step


@pytest.mark.parametrize("name, phase", PHASES)
def test_stopped_within_a_phase_and_resumed_it_ends_at_the_same_bits(name, phase, tmp_path):
    calls = []

    def interrupt(step, grads):
        calls.append(phase)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return step()

    stopped = train(meddled(make(name), phase, interrupt), few(), 3, out=tmp_path)
    assert stopped.interrupted and stopped.steps == (7 if (name, phase) == ("critic", "generator") else 3)
    assert_goes_on_as_if_nothing_had_been(name, tmp_path)
