"""Test ELBO of the dense VAE on Fashion-MNIST, trained here and in PyTorch with the same settings; log p(x) of MNIST.

    python -m benchmarks.quality [--epochs 10] [--seeds 3] [--json FILE]
    python -m benchmarks.quality likelihood [--data mnist] [--out runs/likelihood] [--threads N] [--json FILE]

The second is in `likelihood.py`; the first:

Both start from the initial weights that tinyae draws for the seed, and see batches of 128 in an order of their own;
Adam 1e-3, 784-256-20, ReLU, Bernoulli likelihood, all 60,000 training images. The noise of the two differs, so they
agree within the spread over seeds, not to the digit.
"""

import argparse
import json
import statistics

import tinyae
from benchmarks import likelihood
from tinyae.training.feed import Feed
from tinyae.training.loop import evaluate

BATCH = 128


def train_tinyae(data, seed, epochs):
    """{term: nats} on the test part."""
    model = tinyae.models.VAE(latent_dim=20, seed=seed)
    tinyae.fit(model, data, epochs=epochs, batch_size=BATCH, seed=seed, progress=False)
    return evaluate(model, Feed(data.test.x, None, model.backend, BATCH, seed), seed)


def train_torch(data, seed, epochs):
    """{term: nats} on the test part, from the same initial weights."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.manual_seed(seed)
    initial = tinyae.models.VAE(latent_dim=20, seed=seed).named_parameters()
    encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 40))
    decoder = nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 784))
    layers = {"encoder.1": encoder[0], "encoder.3": encoder[2], "decoder.0": decoder[0], "decoder.2": decoder[2]}
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.copy_(torch.from_numpy(initial[f"{name}.weight"].T))
            layer.bias.copy_(torch.from_numpy(initial[f"{name}.bias"]))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)

    def terms(x):
        mu, logvar = encoder(x).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        rec = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum") / len(x)
        kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum() / len(x)
        return rec, kl

    train, test = (torch.from_numpy(part.x.reshape(len(part), 784)) for part in (data.train, data.test))
    for _ in range(epochs):
        for rows in torch.randperm(len(train)).split(BATCH):
            rec, kl = terms(train[rows].float() / 255)
            optimizer.zero_grad()
            (rec + kl).backward()
            optimizer.step()
    with torch.no_grad():
        rec, kl = (float(value) for value in terms(test.float() / 255))
    return {"loss": rec + kl, "reconstruction": rec, "kl": kl}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("table", nargs="?", choices=("elbo", "likelihood"), default="elbo")
    parser.add_argument("--epochs", type=int, help="elbo: 10; likelihood: instead of each network's own")
    parser.add_argument("--seeds", type=int, default=3, help="of elbo")
    parser.add_argument("--data", default="mnist", help="of likelihood")
    parser.add_argument("--out", default="runs/likelihood", help="of likelihood: where its runs are kept")
    parser.add_argument("--threads", type=int, help="of likelihood")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    result = (elbo if arguments.table == "elbo" else log_likelihood)(arguments)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(result, file, indent=1)


def log_likelihood(arguments):
    results = likelihood.measure(arguments.data, arguments.out, arguments.threads, arguments.epochs)
    likelihood.show(results)
    return results


def elbo(arguments):
    epochs = arguments.epochs or 10
    import torch

    data = tinyae.data.load("fashion-mnist")
    results = {"tinyae": [], "torch": []}
    for seed in range(arguments.seeds):
        for name, train in (("tinyae", train_tinyae), ("torch", train_torch)):
            results[name].append(train(data, seed, epochs))
            print(name, f"seed {seed}", {term: round(nats, 2) for term, nats in results[name][-1].items()}, flush=True)
    for name, runs in results.items():
        for term in ("loss", "reconstruction", "kl"):
            values = [run[term] for run in runs]
            spread = statistics.stdev(values) if len(values) > 1 else float("nan")
            print(f"{name:<8}{term:<16}{statistics.mean(values):9.2f} +- {spread:.2f} nats")
    return {"epochs": epochs, "torch": torch.__version__, "results": results}


if __name__ == "__main__":
    main()
