"""Classes found without labels: `mixture-vae` compared with a Gaussian mixture fitted by EM to PCA codes.

Both see the same training images and no label, and both have as many components as there are classes and codes of 20
numbers; the mixture of the baseline has full covariances (scikit-learn). The accuracy belongs to the best matching
between clusters and classes, on the test images.
"""

import statistics
import time

import tinyae
from tinyae.evaluation.clustering import clustering_accuracy

DIMENSIONS, BATCH = 20, 100


def measure(names, seeds, epochs, images=None):
    """{"runs": [{"data", "seed", "method", "accuracy", ...}]}, printed as they come."""
    import sklearn

    runs = []
    for name in names:
        data = tinyae.data.load(name)
        for seed in range(seeds):
            for method in (mixture_vae, pca_and_em):
                start = time.monotonic()
                found = method(data, data.train.x[:images], seed, epochs)
                run = {"data": name, "seed": seed, "method": method.__name__} | found
                runs.append(run | {"seconds": round(time.monotonic() - start)})
                print(" ".join(f"{key}={value}" for key, value in runs[-1].items()), flush=True)
    return {"epochs": epochs, "images": images, "scikit-learn": sklearn.__version__, "runs": runs}


def mixture_vae(data, x, seed, epochs):
    """The reference architecture and settings (Adam 1e-3, batches of 100), for `epochs`."""
    model = tinyae.models.MixtureVAE(data.shape, DIMENSIONS, data.class_count, seed=seed)
    history = tinyae.fit(model, x, test=data.test, epochs=epochs, batch_size=BATCH, seed=seed, progress=False)
    accuracy, _ = clustering_accuracy(model.cluster(data.test.x), data.test.labels)
    return {"accuracy": accuracy, "test_loss": history.records[-1]["test"]["loss"]}


def pca_and_em(data, x, seed, epochs):
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    def rows(images):
        return images.reshape(len(images), -1) / 255

    pca = PCA(DIMENSIONS, random_state=seed).fit(rows(x))
    mixture = GaussianMixture(data.class_count, random_state=seed).fit(pca.transform(rows(x)))
    clusters = mixture.predict(pca.transform(rows(data.test.x)))
    return {"accuracy": clustering_accuracy(clusters, data.test.labels)[0], "iterations": mixture.n_iter_}


def show(result):
    """Mean and range over the seeds, in percent."""
    accuracies = {}
    for run in result["runs"]:
        accuracies.setdefault((run["data"], run["method"]), []).append(100 * run["accuracy"])
    for (data, method), values in accuracies.items():
        spread = f"{min(values):.1f} to {max(values):.1f} over {len(values)} seeds"
        print(f"{data:<16}{method:<14}{statistics.mean(values):6.1f} %   {spread}")
