"""The table of log p(x): computed for small models, resumed, and shown with the published values."""

from benchmarks import likelihood
from tinyae.checkpoint import files as checkpoint

SMALL = {
    "small": likelihood.CASES["784-400-40"] | {"model": {"hidden": (8,), "latent_dim": 2}, "draws": (1, 20)},
    "weighted": likelihood.CASES["784-200-200-50, k = 5"]
    | {"model": {"hidden": (8,), "latent_dim": 2, "samples": 3}, "draws": (20,)},
}


def test_the_table(tmp_path, capsys):
    results = likelihood.measure("digits", tmp_path, epochs=1, cases=SMALL)
    small = results["small"]
    assert small["epochs"] == 1 and small["binarize"] == "static" and small["active_units"] in (0, 1, 2)
    assert 10 < small["nll"][20]["nats"] < small["nll"][1]["nats"] < 64
    settings = checkpoint.read(tmp_path / "weighted" / "last.npz").training["settings"]
    assert settings["binarize"] == "dynamic" and settings["batch_size"] == 100
    likelihood.show(results)
    lines = capsys.readouterr().out.splitlines()
    assert (
        f"small                 static          1     20{small['nll'][20]['nats']:>11.2f}   89.78 after 500"
        in lines[-2]
    )
    assert "weighted" in lines[-1] and "85.54 after 3280 epochs, 5000 draws" in lines[-1]
    again = likelihood.measure("digits", tmp_path, epochs=1, cases=SMALL)
    assert again["small"]["nll"][20]["nats"] == small["nll"][20]["nats"]


def test_the_networks_are_those_that_were_published():
    hidden = {name: (*case["model"]["hidden"], case["model"]["latent_dim"]) for name, case in likelihood.CASES.items()}
    assert all(name.split(",")[0] == "-".join(map(str, (784, *sizes))) for name, sizes in hidden.items())
    assert [case["published"]["nll"] for case in likelihood.CASES.values()] == [89.78, 86.76, 85.54]
