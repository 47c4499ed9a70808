"""`tinyae manifold` and `tinyae map` show a plane of the latent space: decoded images, and regions of classes."""

import numpy as np

from .. import explore
from ..errors import ConfigError
from ..wording import counted, example
from .arguments import POSITIVE, at_least
from .coded import MANY, Coded, coded_options, label_option

FEWEST = 3  # images that a map needs: two to train the probe, and one to test it


def manifold_options(parser):
    add = coded_options(parser, "manifold")
    add("--side", type=at_least(1, 500), default=15, metavar="N", help="images per side (default 15)")
    _dims_option(add)
    label_option(add)


def manifold(arguments):
    """Decode a grid of points in a plane of the latent space, at quantiles of the prior (or else of the codes)."""
    coded = Coded(
        "manifold", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json,
        arguments.label,
    )  # fmt: skip
    model, chosen = coded.model, _chosen(arguments.dims, coded)
    codes = None if model.prior.standard else coded.encode(coded.evenly_spaced())
    # In many dimensions no sample of the prior is near its mean, and a GAN's generator is trained on samples alone.
    centre = None if model.code.encoded else model.draw_prior(1)[0]
    label = coded.decoded_as()
    if coded.kind == ".png":
        from .. import plot

        title = f"Decoded points of a latent plane{coded.as_class(label)}"
        plot.manifold(
            coded.out, model, arguments.side, chosen=chosen, codes=codes, label=label, title=title, centre=centre
        )
        coded.finish({"dimensions": [i + 1 for i in chosen]})
    else:
        points, _ = explore.plane(arguments.side, model.latent_dim, chosen, codes, centre=centre)
        images = explore.decode(model, points, label)
        coded.answer(images, {"codes": points}, {"dimensions": [i + 1 for i in chosen]})


def map_options(parser):
    add = coded_options(parser, "map", kinds="a .png picture")
    _dims_option(add)
    label_option(add)


def map_classes(arguments):
    """Colour a plane of the latent space by the class that a classifier of codes predicts at each point."""
    from .. import plot
    from ..evaluation.dense_probe import DenseProbe
    from ..plot.axes import check_classes
    from ..training.prepared import hold_out

    coded = Coded(
        "map", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json,
        arguments.label, kinds=(".png",),
    )  # fmt: skip
    coded.need_labels("a map colours regions by class")
    if len(coded.split) < FEWEST:
        where = f"the {coded.loaded.split} split of {coded.data.name}"
        there = counted(len(coded.split), example(coded.model.input_shape))
        raise ConfigError(f"{where} has {there}, and a map needs {FEWEST}: choose another split with --split")
    check_classes(coded.data.class_count)
    chosen = _chosen(arguments.dims, coded)
    rows = coded.evenly_spaced(MANY)
    codes, labels = coded.encode(rows), coded.labels[rows]
    points = codes[:, chosen]
    learned, held = hold_out(points, labels, 0.2, seed=0)
    probe = DenseProbe(coded.data.class_count).fit(*learned)
    accuracy = probe.score(*held)
    label = coded.decoded_as()
    centre = np.zeros(codes.shape[1]) if coded.model.prior.standard else codes.mean(axis=0)

    def decode(plane):
        z = np.tile(centre, (len(plane), 1))
        z[:, chosen] = plane
        return explore.decode(coded.model, z[None], label)[0]

    plot.regions(
        coded.out, points, labels, probe.probabilities, decode, coded.data.class_names,
        names=[f"z{i + 1}" for i in chosen],
        title=f"Classes predicted by a probe, with an accuracy of {accuracy:.1%} on {len(held[0]):,} held-out codes",
    )  # fmt: skip
    coded.finish({"dimensions": [i + 1 for i in chosen], "probe_accuracy": accuracy, "probed": len(held[0])})


def _dims_option(add):
    meaning = "dimensions of the x and y axis, counted from 1 (default: the two most informative)"
    add("--dims", type=POSITIVE, nargs=2, metavar="D", help=meaning)


def _chosen(dims, coded):
    """The two dimensions of the plane, counted from 0: `dims`, counted from 1, or else the two most informative."""
    if dims is not None:
        chosen = [i - 1 for i in dims]
    elif coded.model.latent_dim <= 2:
        chosen = [0, 1]
    else:
        chosen = sorted(explore.dimensions(coded.model, *coded.sample()).order[:2].tolist())
    explore.check_plane(coded.model, chosen)
    return chosen
