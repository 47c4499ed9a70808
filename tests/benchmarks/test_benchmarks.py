"""The benchmarks run and say what they should; no test asserts a time."""

import functools
import importlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import (
    backends,
    clustering,
    convolution,
    convolution_cases,
    dense_vae,
    harness,
    machine,
    memory,
    profile,
)
from benchmarks.__main__ import main
from benchmarks.convolution_cases import LAYERS, LayerCase, ModelCase
from tinyae.backend import Backend
from tinyae.errors import BackendError
from tinyae.models import VQVAE, ConvAE, ConvVAE


def test_every_round_runs_every_contender_once_in_a_changing_order():
    calls = []
    contenders = {name: lambda n=name: calls.append(n) or 1.0 for name in "abc"}
    values = harness.interleave(contenders, rounds=8, warmup=2)
    rounds = [tuple(calls[i : i + 3]) for i in range(0, len(calls), 3)]
    assert len(rounds) == 10 and all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) > 1
    assert {name: len(v) for name, v in values.items()} == {"a": 8, "b": 8, "c": 8}


def test_ratios_are_taken_within_rounds():
    values = {"ours": [1.0, 10.0, 3.0], "peer": [2.0, 20.0, 6.0]}
    report = harness.report(values, "ours")
    assert report["ratios"]["peer"] == {"median": 0.5, "q1": 0.5, "q3": 0.5, "min": 0.5, "max": 0.5, "rounds": 3}
    assert report["contenders"]["ours"]["median"] == 3.0
    assert "peer" in harness.table("ms", report)


def test_the_ratio_of_a_single_round_is_no_result():
    """It has no spread: the table says so, and shows the round's numbers alone."""
    one = harness.report({"ours": [1.0], "peer": [2.0]}, "ours")
    *_, ours, peer = harness.table("ms", one).splitlines()
    assert ours.split() == ["ours", "1"]
    assert peer.split(maxsplit=2) == ["peer", "2", "no ratio: one round shows no spread"]
    two = harness.report({"ours": [1.0, 1.0], "peer": [2.0, 2.0]}, "ours")
    assert harness.table("ms", two).endswith("0.50 (0.50 to 0.50)")
    case = {"contenders": {"torch": {"median": 0.004}}, "ratios": one["ratios"] | {"torch": one["ratios"]["peer"]}}
    assert convolution.beside(case).split(maxsplit=3)[-1] == "(no ratio: one round shows no spread)"


def test_long_measurements_say_how_far_they_are(monkeypatch, capsys):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(harness.time, "monotonic", lambda: next(clock))
    harness.interleave({"a": lambda: 1.0}, rounds=5)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("round 2 of 6, 1 of them to warm up: a, about ")
    harness.interleave({"a": lambda: 1.0}, rounds=1, warmup=0)
    assert capsys.readouterr().err == "", "short ones are silent"


def test_one_round_has_a_summary():
    assert harness.summary([2.0]) == {"median": 2.0, "q1": 2.0, "q3": 2.0, "min": 2.0, "max": 2.0, "rounds": 1}


def test_flops_are_those_of_the_products():
    forward = 784 * 400 + 400 * 40 + 20 * 400 + 400 * 784
    assert dense_vae.flops() == 2 * 128 * (3 * forward - 784 * 400)


def test_the_machine_is_named():
    found = machine.describe(["step"])
    assert found["command"] == "python -m benchmarks step" and found["cores"] >= 1 and found["cpu"]


@pytest.mark.slow
def test_step_writes_json(tmp_path):
    file = tmp_path / "step.json"
    main(["step", "--contenders", "tinyae", "--rounds", "2", "--json", str(file)])
    result = json.loads(file.read_text())
    tinyae = result["contenders"]["tinyae"]
    assert tinyae["median"] > 0 and tinyae["peak_bytes"] > 2**20 and tinyae["images_per_second"] > 0
    assert result["ratios"]["matrix products alone"]["rounds"] == 2
    assert {"cpu", "cores", "versions", "command", "flops", "sgemm_flops_per_second"} <= result.keys()


def test_other_work_is_refused():
    from benchmarks import step

    step.agree({"a": [100.0, 90.0], "b": [100.001, 90.0]})
    with pytest.raises(SystemExit, match="a and b differ"):
        step.agree({"a": [100.0, 90.0], "b": [100.0, 90.1]})


def test_a_failing_contender_says_why():
    from benchmarks.contenders import Worker

    with Worker("nobody") as worker, pytest.raises(RuntimeError, match="nobody"):
        worker.ask("run 1")


def test_backends_time_numpy_and_say_what_is_missing(capsys):
    result = backends.measure(rounds=2, only=["layer Dense", "model vae"], batch=4)
    assert result["subjects"]["layer Dense"]["contenders"]["numpy"]["median"] > 0
    shapes = {name: subject["x"] for name, subject in result["subjects"].items()}
    assert shapes == {"layer Dense": [4, 1024], "model vae": [4, 28, 28, 1]}
    told = capsys.readouterr().out
    assert re.search(r"^model vae +4x28x28x1 +numpy +[\d.]+ ms \([\d.]+ to [\d.]+\)", told, re.MULTILINE)
    try:
        Backend("cupy")
    except BackendError:
        assert "cupy" in result["cupy"] and told.count("NumPy alone") == 1
    else:
        assert result["subjects"]["model vae"]["ratios"]["cupy"]["median"] > 0


@pytest.mark.parametrize(
    "words, says",
    [
        (["stepp"], "invalid choice: 'stepp'"),
        (["step", "--rounds", "0"], "--rounds: expected an integer of at least 1, got '0'"),
        (["backends", "--only", "layer dense"], "unknown layer or model 'layer dense': did you mean 'layer Dense'?"),
        (["step", "--json", "no/such/folder/a.json"], "--json no/such/folder/a.json: its folder is not there"),
    ],
)
def test_bad_input_is_one_line(words, says, capsys):
    with pytest.raises(SystemExit) as exit:
        main(words)
    out, err = capsys.readouterr()
    assert exit.value.code == 2 and out == "" and err.count("\n") == 1 and says in err


def test_every_layer_and_model_can_be_timed():
    numpy = Backend("numpy")
    for name, make in backends.subjects().items():
        if name.startswith("layer"):
            make(numpy, 2)()


def test_flops_of_convolutional_steps():
    """An image's forward products by hand; dx and dw cost the same again, but of the data no dx is asked."""
    outer, inner = 64 * 64 * 128 * 4 * 4 * 3, 32 * 32 * 128 * 4 * 4 * 128  # the two of stride 2, and the same back
    block = 32 * 32 * 128 * (3 * 3 * 128 + 128)
    assert convolution_cases.CASES["vq-vae-128"].flops("step") == 8 * 2 * (
        3 * 2 * (outer + inner + 3 * block) - outer + 32 * 32 * 64 * 128  # every vector with every code, once
    )
    layer = LAYERS["7x7x64-32,4x4s2,transposed"]
    assert layer.flops("forward") == 2 * 128 * 7 * 7 * 16 * 64 * 32 == layer.flops("backward") / 2


VQ = dict(codes=5, latent_dim=4, restart=False)
SMALL_CASES = {
    "vq-vae-residual": ModelCase(VQVAE, 3, **VQ, network="residual", input_shape=(8, 8, 3)),
    "vq-vae-paper": ModelCase(VQVAE, 3, **VQ, network="paper", input_shape=(8, 8, 3)),
    "vq-vae-small": ModelCase(VQVAE, 3, **VQ, network="small", input_shape=(8, 8, 1)),
    "conv-vae": ModelCase(ConvVAE, 3, input_shape=(28, 28, 1), channels=(3, 4), units=8),
    "conv-ae": ModelCase(ConvAE, 3, input_shape=(28, 28, 1), channels=(3, 2, 4)),
    "3x3": LayerCase(2, 6, 3, 4),
    "4x4s2": LayerCase(2, 6, 3, 4, 4, 2),
    "4x4s2,transposed": LayerCase(2, 3, 3, 4, 4, 2, True),
}


@pytest.fixture
def small_cases(monkeypatch):
    for name in SMALL_CASES:
        monkeypatch.setitem(convolution_cases.CASES, name, SMALL_CASES[name])
        if isinstance(SMALL_CASES[name], LayerCase):
            monkeypatch.setitem(LAYERS, name, SMALL_CASES[name])


@pytest.mark.parametrize("framework, options", [("torch", {}), ("torch", {"channels_last": True}), ("jax", {})])
def test_peers_do_the_same_work(framework, options, small_cases, request):
    peers = pytest.importorskip(framework)
    if framework == "torch":
        request.addfinalizer(functools.partial(peers.set_num_threads, peers.get_num_threads()))
        peers.set_num_threads(1)
    from benchmarks import convolution_worker
    from benchmarks.convolution_tinyae import Contender
    from benchmarks.step import agree

    peer, ours = importlib.import_module(f"benchmarks.convolution_{framework}").Contender(**options), Contender()
    request.addfinalizer(lambda: ours.context.__exit__(None, None, None))
    for name in SMALL_CASES:
        found = [convolution_worker.check(contender.case(name), SMALL_CASES[name], 3) for contender in (ours, peer)]
        assert len(found[0]) == len(found[1]) == (4 if name in LAYERS else 7)
        agree(dict(zip("ab", found, strict=True)), SMALL_CASES[name].tolerance)


OTHER_WORK = {
    "half the learning rate": lambda run: run.adam.param_groups[0].update(lr=run.adam.param_groups[0]["lr"] / 2),
    "no gradient of the codebook": lambda run: run.networks["codebook"].weight.register_hook(lambda grad: 0 * grad),
    "another weight of a term": lambda run: setattr(run, "commitment", 2 * run.commitment),
}


@pytest.mark.parametrize("change", OTHER_WORK)
def test_other_work_of_a_peer_is_found(change):
    torch = pytest.importorskip("torch")
    from benchmarks.convolution_tinyae import ModelRun
    from benchmarks.convolution_torch import VQRun
    from benchmarks.step import agree

    case = SMALL_CASES["vq-vae-small"]
    ours, peer = ModelRun(case, None), VQRun(case, torch.contiguous_format, lambda function: function)
    OTHER_WORK[change](peer)
    batches = [case.batch(i) for i in range(2)]
    with pytest.raises(SystemExit, match="ours and peer differ"):
        agree({"ours": ours.check(*batches), "peer": peer.check(*batches)}, case.tolerance)


def test_adam_in_jax_is_ours():
    jax = pytest.importorskip("jax")
    from benchmarks import adam_jax
    from tinyae.optim import Adam
    from tinyae.params import ParamStore

    rng, store = np.random.default_rng(0), ParamStore({"w": (50,)}, np, "float32")
    store.flat[...] = rng.standard_normal(50)
    ours, state = Adam(0.1), adam_jax.begin({"w": store.flat})
    for _ in range(3):
        grads = store.like()
        grads.flat[...] = rng.standard_normal(50)
        state = adam_jax.update(state, {"w": jax.numpy.asarray(grads.flat)}, 0.1)
        ours.step(store, grads)
    np.testing.assert_allclose(store.flat, state[0]["w"], rtol=1e-4, atol=1e-5)


def test_convolution_runs_and_names_the_fastest_pytorch(capsys):
    cases = ["14x14x32-1,4x4s2,transposed", "conv-vae-28"]
    result = convolution.measure(["tinyae"], rounds=1, only=cases)
    assert list(result["cases"]) == [f"{cases[0]} forward", f"{cases[0]} backward", f"{cases[1]} step"]
    step = result["cases"]["conv-vae-28 step"]
    assert step["distance"] == pytest.approx(
        step["contenders"]["tinyae"]["median"] * result["sgemm_flops_per_second"] / step["flops"]
    )
    capsys.readouterr()
    step["contenders"] |= {"torch": {"median": 0.004}, "torch-compile": {"median": 0.003}, "jax": {"median": 0.001}}
    step["ratios"] = {"torch-compile": {"median": 1.25}}
    convolution.show(result)
    *_, without, beside = capsys.readouterr().out.splitlines()
    assert "torch" not in without and beside.endswith("1.25 torch-compile, 3 ms")


class FakeWorker:
    def __init__(self, answer):
        self.answer = answer

    def ask(self, command):
        if isinstance(self.answer, str):
            raise RuntimeError(self.answer)
        return self.answer


def test_a_peer_that_cannot_run_a_case_is_named_and_left_out(capsys):
    workers = {"tinyae": FakeWorker([2.0]), "torch": FakeWorker([2.0]), "jax": FakeWorker("jax: no compiler")}
    case = convolution_cases.CASES["conv-ae-28"]
    convolution._check(workers, "conv-ae-28", case)
    assert list(workers) == ["tinyae", "torch"]
    assert capsys.readouterr().out == "skipped from conv-ae-28 on: jax: no compiler\n"
    with pytest.raises(SystemExit, match="tinyae and torch differ"):
        convolution._check(workers | {"torch": FakeWorker([2.1])}, "conv-ae-28", case)
    with pytest.raises(RuntimeError, match="ours"):
        convolution._check({"tinyae": FakeWorker("ours")}, "conv-ae-28", case)


def test_memory_counts_what_training_takes(capsys):
    result = memory.measure(["tinyae"], rounds=1, case="conv-vae-28", steps=1)
    tinyae = result["contenders"]["tinyae"]
    assert tinyae["imported_bytes"] > 2**20
    assert tinyae["median"] > tinyae["imported_bytes"] + 4 * 4 * ConvVAE().param_count  # gradients, moments
    memory.show(result)
    assert "before the model was built" in capsys.readouterr().out


def test_profile_finds_the_time_in_the_layers(capsys):
    result = profile.measure("conv-ae-28", rounds=1, threads=1)
    layers = {row["layer"]: row for row in result["layers"]}
    assert len(layers) == 21
    first = layers["encoder Conv2D 28x28x1 -> 28x28x16"]
    assert first["forward"]["flops"] == first["backward"]["flops"] == 200 * 2 * 28 * 28 * 9 * 16
    assert all(row[phase]["seconds"] > 0 for row in layers.values() for phase in ("forward", "backward"))
    inside = sum(row[phase]["seconds"] for row in layers.values() for phase in ("forward", "backward"))
    assert inside < result["gradients"]
    profile.show(result)
    assert "all MaxPool2D" in capsys.readouterr().out


def test_clustering_compares_on_the_same_images(capsys):
    pytest.importorskip("sklearn")
    result = clustering.measure(["digits"], seeds=1, epochs=1, images=100)
    assert [run["method"] for run in result["runs"]] == ["mixture_vae", "pca_and_em"]
    assert all(0.1 <= run["accuracy"] <= 1 for run in result["runs"])
    clustering.show(result)
    assert "over 1 seeds" in capsys.readouterr().out


def test_command_line_names_the_benchmarks():
    process = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], capture_output=True, text=True, check=True)
    assert all(name in process.stdout for name in ("step", "process", "backends", "memory", "clustering"))
