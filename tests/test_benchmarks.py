"""The benchmarks run and say what they should; no test asserts a time."""

import json
import subprocess
import sys

import pytest

from benchmarks import backends, dense_vae, harness, machine
from benchmarks.__main__ import main
from tinyae.backend import Backend
from tinyae.errors import BackendError


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
    try:
        Backend("cupy")
    except BackendError:
        assert "cupy" in result["cupy"] and capsys.readouterr().out.count("NumPy alone") == 1
    else:
        assert result["subjects"]["model vae"]["ratios"]["cupy"]["median"] > 0


def test_every_layer_and_model_can_be_timed():
    numpy = Backend("numpy")
    for name, make in backends.subjects().items():
        if name.startswith("layer"):
            make(numpy, 2)()


def test_command_line_names_the_benchmarks():
    process = subprocess.run([sys.executable, "-m", "benchmarks", "--help"], capture_output=True, text=True, check=True)
    assert all(name in process.stdout for name in ("step", "process", "backends"))
