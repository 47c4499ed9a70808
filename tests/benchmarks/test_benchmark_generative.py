"""The benchmark of generative systems: all of them trained on the same images, and compared."""

import json

import numpy as np
import pytest

import tinyae
from benchmarks import generative
from benchmarks.__main__ import main
from tinyae.evaluation import classifier, judge

pytest.importorskip("PIL")


@pytest.fixture
def tiny(monkeypatch):
    systems = {"ae": ({"latent_dim": 2, "hidden": (4,)}, 1e-3), "gan": ({"hidden": (4,)}, 1e-3)}
    conv = {"latent_dim": 2, "channels": (2, 3), "units": 4}
    systems |= {"conv-vae": (conv, 1e-3), "vae-gan": (conv | {"start": "conv-vae"}, 1e-9)}
    monkeypatch.setattr(generative, "SYSTEMS", systems | {"vq-vae": ({"codes": 4, "latent_dim": 2}, 1e-3)})
    monkeypatch.setattr(generative, "PRIOR", ("pixelcnn", {"width": 4, "blocks": 1}, 1e-3))
    for module, name, value in ((classifier, "STEPS", 24), (classifier, "CHANNELS", (4, 4)), (judge, "COUNT", 60)):
        monkeypatch.setattr(module, name, value)


def test_all_are_trained_and_compared_and_on_again(tiny, tmp_path, capsys):
    words = ["generative", "--data", "digits", "--epochs", "1", "--out", str(tmp_path / "out")]
    main([*words, "--json", str(tmp_path / "a.json")])
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "a.json").read_text())
    runs = {row["run"]: row for row in result["runs"]}
    assert list(runs) == ["ae", "gan", "conv-vae", "vae-gan", "vq-vae + pixelcnn"]
    assert all(row["frechet"] > 0 and row["seconds"] >= 0 for row in runs.values())
    assert runs["gan"]["rms"] is None and runs["vq-vae + pixelcnn"]["rms"] > 0
    assert runs["ae"]["parameters"] == 64 * 4 + 4 + 4 * 2 + 2 + 2 * 4 + 4 + 4 * 64 + 64
    assert abs(runs["vae-gan"]["rms"] - runs["conv-vae"]["rms"]) < 1e-6  # vae-gan starts from conv-vae and hardly moves
    assert result["judge"]["classifier"]["images"] == 60 and result["epochs"] == 1
    assert "digits, test part; epochs of each: 1, in batches of 128" in said and all(name in said for name in runs)
    assert (tmp_path / "out" / "comparison.png").stat().st_size > 1000
    drawn = tinyae.load(tmp_path / "out" / "pixelcnn").images(np.zeros((1, 2, 2), int))  # decoded by its vq-vae
    assert drawn.shape == (1, 8, 8, 1)
    main([*words, "--json", str(tmp_path / "b.json")])  # finds the trained ones
    again = json.loads((tmp_path / "b.json").read_text())["runs"]
    for row, other in zip(result["runs"], again, strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}
