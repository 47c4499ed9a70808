"""`python -m benchmarks disentanglement`: its baselines are what they say, and a stopped run goes on."""

import json

import numpy as np
import pytest

from benchmarks import disentanglement as benchmark
from benchmarks.__main__ import main


def test_principal_components_are_those_of_the_svd():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (200, 4, 5, 1)).astype(np.uint8)
    x[:, :2] //= 1 + np.arange(10, dtype=np.uint8).reshape(2, 5, 1)  # pixels of different variances
    codes = benchmark.principal_components(x, count=3, iterations=300)(x)
    rows = x.reshape(200, -1) / 255
    u, singular, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    expected = u[:, :3] * singular[:3]
    signs = np.sign((codes * expected).sum(axis=0))
    np.testing.assert_allclose(codes * signs, expected, atol=1e-3)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(benchmark.NETWORK, "hidden", (4,))


def test_a_table_with_the_published_figures(small, tmp_path, capsys):
    file, options = tmp_path / "result.json", ("--steps", "2", "--out", str(tmp_path / "runs"), "--threads", "1")
    only = ("--only", "beta-VAE, beta 4", "factors")
    main(["disentanglement", *options, *only, "--json", str(file)])
    result = json.loads(file.read_text())
    assert (result["steps"], result["images"]) == (2, 128)
    learned, known = (result["rows"][name] for name in only[1:])
    assert known["higgins"] > 0.99 and 0.85 < known["mig"] < 0.95  # 40 and 32 values do not fit 20 bins
    assert learned["kl"] >= 0 and learned["reconstruction"] > 0 and 0 <= learned["mig"] < 0.5
    table = capsys.readouterr().out
    assert "128 images in 2 steps" in table and "99.23" in table and "rotation" in table


def test_the_same_command_goes_on(small, tmp_path):
    first, again = (benchmark.measure(2, tmp_path, 1, ("VAE",)) for _ in range(2))
    assert first == again and len((tmp_path / "VAE" / "metrics.jsonl").read_text().splitlines()) == 1


def test_an_unknown_contender_is_named(tmp_path):
    with pytest.raises(SystemExit, match="no such contender: ICA; there are VAE"):
        benchmark.measure(2, tmp_path, 1, ("ICA",))
