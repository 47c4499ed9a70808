"""`tinyae evaluate` measures a trained model: the loss and its terms on held-out data, and more on request."""

import math

import numpy as np

from ..data.dataset import class_name
from ..data.encoded import split_of_codes
from ..errors import ConfigError, DataError
from ..wording import counted, example
from .arguments import CALLED, add_json, at_least, print_json, print_line, run_options
from .trained import codec_of, evenly_spaced, load_checkpoint, load_data, tell_notes

PARZEN_SAMPLES, PARZEN_VALIDATION = 10_000, 1000
NEIGHBOURS = 5
DRAWN = 1000  # samples, and as many images of the data, for --diversity
LEARNED, KNOWN = 20_000, 60_000  # training images to learn classes from, and to search for the nearest image
EXTRAS = (
    "samples", "quality", "parzen", "diversity", "probe", "clusters", "disentanglement", "held_out",
)  # fmt: skip
BLOCK = 4096  # examples that `is_binary` compares at a time
TITLE = ("model", "data", "split", "images", "unit", "binarized", "notes")  # these are no rows of the table


def evaluate_options(parser):
    add = run_options(parser, seed=True)
    bound = "bound log p(x) from below by importance sampling with K samples per image"
    add("--samples", type=at_least(1, 10**6), metavar="K", help=bound)
    add("--quality", action="store_true", help="reconstruction errors: per pixel, at edges, and of structure (SSIM)")
    parzen = f"Parzen-window log-likelihood of the data, estimated from {PARZEN_SAMPLES:,} samples of the model"
    add("--parzen", action="store_true", help=parzen)
    diversity = f"classes of {DRAWN:,} samples of the model, and their distances to the nearest training images"
    add("--diversity", action="store_true", help=diversity)
    probe = f"accuracy of classifying codes: by a linear probe, and by the {NEIGHBOURS} nearest training images"
    add("--probe", action="store_true", help=probe)
    factors = "disentanglement of the code: Higgins' metric and the mutual information gap"
    add("--disentanglement", action="store_true", help=f"{factors} (for data with factors: dsprites, or your .npz)")
    add("--clusters", action="store_true", help="how well the classes that the model found agree with the labels")
    held = f"ROC-AUC of scores that detect this class as an anomaly; the class is given {CALLED}"
    add("--held-out", metavar="CLASS", help=held)
    add_json(add)


def evaluate(arguments):
    """Measure the loss and its terms on held-out images; optionally likelihood, image quality, codes, anomalies."""
    options = {name: value for name in EXTRAS if (value := getattr(arguments, name)) not in (None, False)}
    asked = Asked(arguments.run_path, arguments.backend, arguments.data_options, arguments.seed, options)
    answer = asked.about() | asked.terms()
    for option, section in {
        "samples": asked.log_likelihood, "quality": asked.quality, "parzen": asked.parzen,
        "diversity": asked.diversity, "probe": asked.probe, "clusters": asked.clusters,
        "disentanglement": asked.disentanglement, "held_out": asked.anomalies,
    }.items():  # fmt: skip
        if option in options:
            try:
                answer |= section()
            except ConfigError as error:
                named = str(error).startswith("--")
                raise error if named else ConfigError(f"--{option.replace('_', '-')}: {error}") from None
    if asked.notes:
        answer["notes"] = asked.notes
    if arguments.json:
        print_json(answer)
    else:
        asked.print(answer)
    tell_notes(asked.data)


class Asked:
    """A trained model and the data that it is measured on. Each method returns a dict of numbers by name.

    Parameters
    ----------
    path : str
        A run's folder or a checkpoint file.
    backend : str
        "numpy" or "cupy".
    data_options : dict
        Keyword arguments of `load_data`.
    seed : int
        Seed of the noise.
    options : dict
        {name: value} of the options of EXTRAS that are given.

    The attributes x, (N, *input_shape), and labels, (N,) or None, hold the examples of the split, binarized if the
    run's training data were. `grey` holds the same examples before binarization.
    """

    def __init__(self, path, backend, data_options, seed, options):
        from ..training.prepared import admitted, as_split

        found = load_checkpoint(path)
        training = found.training or {}
        self.options, self.seed, self.model, self.notes = options, seed, found.model(backend), []
        refuse(options, self.model)
        self.settings = training.get("settings", {})
        self.data, self.split, self.examples = load_data(found.origin, self.model, **data_options)
        if self.model.input.integers:
            as_split(self.examples)  # checks the images
            self.examples = split_of_codes(self.examples, codec_of(self.model))
        self.grey, self.labels = admitted(self.model, self.examples, self.model.trained_on)
        self.x = self.grey
        if self.settings.get("binarize"):
            from ..data.binarize import check_pixels, static

            check_pixels(self.settings["binarize"], self.grey)
            self.x = static(self.grey, self.split)

    def about(self):
        """What is measured: the names of model, data and split, the number of images, and the unit of the losses."""
        about = {"model": self.model.name, "data": self.data.name, "split": self.split}
        about |= {"images": len(self.examples), "unit": self.model.unit}
        return about | ({"binarized": True} if self.settings.get("binarize") else {})

    def terms(self):
        """The loss and its terms; for variational models also the ELBO, bits per dimension and active units."""
        if self.model.prior.autoregressive:
            return self.exact_likelihood()
        from ..evaluation.likelihood import active_units
        from ..training.feed import Feed
        from ..training.loop import evaluate as evaluate_terms

        model, seed = self.model, self.seed
        terms = evaluate_terms(model, Feed(self.x, self.labels, model.backend, 1, seed), seed)
        if model.code.discrete:
            from ..evaluation.compression import error_over_variance, usage

            return terms | {"error_over_variance": error_over_variance(model, self.x)} | usage(model, self.x)
        if not model.density:
            return terms
        # A loss may weight the KL or be a tighter bound, but its reconstruction and KL terms give the ELBO.
        terms["elbo"] = -sum(value for name, value in terms.items() if name.startswith(("reconstruction", "kl")))
        if model.standardization is not None:
            shift = np.log(model.backend.to_host(model.standardization.scale)).sum()
            self.notes.append(f"for the log-likelihood of the data in their original units, subtract {shift:.4f} nats")
        if model.config["likelihood"] == "bernoulli" and not is_binary(self.x):
            self.notes.append(
                "grey values have no likelihood under a Bernoulli: train with --binarize or another likelihood"
            )
        elif len(model.input_shape) == 3:
            dimensions = math.prod(model.input_shape)
            terms["bits_per_dimension"] = model.likelihood.bits_per_dimension(-terms["elbo"], dimensions)
        active, _ = active_units(model, self.x, self.labels)
        terms["active_units"] = int(active.sum())
        if "kl" in terms:
            terms["kl_per_dimension"] = model.kl_per_dimension(self.x, self.labels).tolist()
        return terms

    def exact_likelihood(self):
        """The exact -log p(x) in nats and in bits; for a prior over codes also the bits of a compressed image."""
        model = self.model
        found = model.measures(self.x, self.labels)
        nats = found["nats_per_code"] * math.prod(model.input_shape)
        terms = {"loss": nats, "bits_per_dimension": found["bits_per_dim"], "accuracy": found["accuracy"]}
        if model.codec is not None:
            from ..evaluation.compression import rate

            return terms | {"nats_per_code": found["nats_per_code"]} | rate(model.codec, nats / math.log(2))
        if model.levels != 256:
            self.notes.append(f"the likelihood is for images rounded to {model.levels} levels")
        return terms

    def log_likelihood(self):
        """The importance-weighted bound on log p(x), nats per image, and its standard errors."""
        from ..evaluation.likelihood import importance_weighted

        samples = self.options["samples"]
        bound = importance_weighted(self.model, self.x, samples, self.labels, self.seed)
        found = {"log_likelihood": bound.mean, "log_likelihood_standard_error": bound.standard_error}
        if samples > 1:
            found["log_likelihood_monte_carlo_error"] = bound.monte_carlo_error
        return found | {"log_likelihood_samples": samples}

    def quality(self):
        """Errors of the reconstructions."""
        from ..evaluation.quality import reconstruction_quality

        return reconstruction_quality(self.model, self.x, self.labels)

    def parzen(self):
        """The Parzen-window log-likelihood of the data under samples of the model."""
        from ..evaluation.parzen import parzen

        train = self.data.train.x
        validation = train[-min(PARZEN_VALIDATION, -(-len(train) // 10)) :]
        samples = self.model.sample(PARZEN_SAMPLES, seed=self.seed)
        found = parzen(samples, validation, self.grey)
        if found.pop("at_the_edge"):
            self.notes.append("the best Parzen bandwidth is at the end of the range that was tried")
        return {f"parzen_{name}": value for name, value in found.items()}

    def diversity(self):
        """Distances from samples, and from images of the split, to the nearest training image.

        With labels also the predicted classes of both, by a `DenseProbe` on pixels, and the accuracy of that probe.
        """
        from ..evaluation import diversity as measure
        from ..evaluation.dense_probe import DenseProbe

        train, rows = self.data.train, evenly_spaced(len(self.grey), DRAWN)
        both = {"sample": self.model.sample(DRAWN, seed=self.seed), "data": np.asarray(self.grey[rows])}
        known = np.asarray(train.x[evenly_spaced(len(train), KNOWN)])
        distances = {name: measure.nearest_images(images, known)[1].mean() for name, images in both.items()}
        found = {f"{name}_to_training": float(distance) for name, distance in distances.items()}
        if self.split == "train":
            self.notes.append("images of the training split are at distance 0 from themselves: use --split test")
        elif distances["sample"] < 0.5 * distances["data"]:
            self.notes.append("samples are much nearer to training images than other images are: perhaps memorised")
        if self.labels is None or train.labels is None:
            return found

        classes, learned = self.data.class_count, evenly_spaced(len(train), LEARNED)
        probe = DenseProbe(classes).fit(measure.rows(train.x[learned]), train.labels[learned])
        found["classifier_accuracy"] = probe.score(measure.rows(both["data"]), self.labels[rows])
        shares = {name: measure.shares(probe.predict(measure.rows(x)), classes) for name, x in both.items()}
        for name, values in shares.items():
            found |= {f"{name}_class_entropy": measure.entropy(values), f"{name}_classes": values.tolist()}
        missing = measure.hardly_drawn(shares["sample"], shares["data"])
        if len(missing):
            names = self.data.class_names or range(classes)
            self.notes.append(f"rare among the samples: {', '.join(str(names[label]) for label in missing)}")
        return found

    def probe(self):
        """Accuracy of two classifiers of codes: a linear probe, and a vote of the nearest training codes."""
        from ..evaluation.neighbours import nearest_neighbours, vote
        from ..evaluation.probe import LinearProbe

        train = self.data.train
        self.need_labels("--probe")
        splits, told = (train, self.examples), self.model.label_arguments
        known, asked = (self.model.encode(split.x, **told(split.labels)) for split in splits)
        probe = LinearProbe(self.data.class_count).fit(known, train.labels)
        near, _ = nearest_neighbours(asked, known, min(NEIGHBOURS, len(known)))
        if not probe.converged:
            self.notes.append("the linear probe did not converge: the best linear probe may be more accurate")
        voted = vote(train.labels[near])
        return {
            "probe_accuracy": probe.score(asked, self.labels),
            "neighbours_accuracy": float((voted == self.labels).mean()),
        }

    def disentanglement(self):
        """Higgins' metric and the mutual information gap, overall and for each factor."""
        from ..evaluation.disentanglement import disentanglement

        factors = self.examples.factors
        if factors is None:
            raise DataError(
                f"--disentanglement needs the factors that the images were made from, and {self.data.name} has none: "
                "use dsprites, or a .npz with factors (N, K)"
            )
        found = disentanglement(self.model.encode, self.x, factors, self.seed)
        names = self.data.factor_names or range(1, factors.shape[1] + 1)
        gaps = zip(names, found.pop("gaps"), strict=True)
        return found | {f"gap_{name}": gap for name, gap in gaps}

    def clusters(self):
        """Agreement of the classes that the model found with the labels."""
        from ..evaluation.clustering import clustering_accuracy

        self.need_labels("--clusters")
        if "clusters" not in self.model.pictures:
            raise ConfigError(f"--clusters: {self.model.name} finds no classes: use a mixture-vae")
        clusters = self.model.cluster(self.x)
        accuracy, _ = clustering_accuracy(clusters, self.labels)
        return {"clustering_accuracy": accuracy, "clusters_used": len(set(clusters.tolist()))}

    def anomalies(self):
        """ROC-AUC of each anomaly score, with the class of --held-out as the anomaly."""
        from ..evaluation.anomaly import roc_auc, scores

        self.need_labels("--held-out")
        odd = self.data.find_class(self.options["held_out"])
        left_out = self.settings.get("without_class")
        known_as = left_out if left_out is None else class_name(left_out, self.model.class_names)
        if known_as != class_name(odd, self.data.class_names):
            self.notes.append(f"the model was trained on class {self.options['held_out']} too (train --without-class)")
        found = scores(self.model, self.x, self.labels, seed=self.seed)
        return {f"auc_{name}": roc_auc(values, self.labels == odd) for name, values in found.items()}

    def need_labels(self, option):
        if self.labels is None or self.data.train.labels is None:
            raise DataError(f"{option} needs labels, and {self.data.name} has none")

    def print(self, answer):
        """Print {name: value} as a table, and the notes below it."""
        binarized = ", binarized" if "binarized" in answer else ""
        noun = example(self.model.input_shape)
        count = counted(answer["images"], noun)
        title = f"{answer['model']} on {answer['data']}, {answer['split']} split, {count}{binarized}"
        print_line(f"{title}; {answer['unit']}, means per {noun}")
        for name, value in answer.items():
            if name in TITLE:
                continue
            if isinstance(value, list):
                values = sorted(value, reverse=True) if name == "kl_per_dimension" else value
                words = " ".join(map(in_words, values))
            else:
                words = f"{value:>12,}" if isinstance(value, int) else f"{value:12.4f}"
            print_line(f"  {name.replace('_', ' '):<34}{words}")
        for note in self.notes:
            print_line(f"  note: {note}")


def in_words(value):
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def refuse(options, model):
    """Raise ConfigError for an option in {name: value} that needs vector codes, if the model's codes are integers."""
    if model.prior.autoregressive:
        refused = EXTRAS
        why = f"{model.name} has no codes of its own and no reconstructions, and its likelihood is exact without it"
    elif model.code.discrete:
        refused = ("probe", "disentanglement")
        why = f"{model.name} has no codes that are vectors of numbers"
    else:
        return
    for option in refused:
        if option in options:
            raise ConfigError(f"--{option.replace('_', '-')}: {why}: leave this option out")


def is_binary(x):
    """Whether every value is black or white."""
    white = 255 if x.dtype == "uint8" else 1
    parts = (x[first : first + BLOCK] for first in range(0, len(x), BLOCK))
    return all(((part == 0) | (part == white)).all() for part in parts)
