"""`tinyae neighbours` finds the images whose codes are nearest to an image's code."""

import numpy as np

from ..errors import ConfigError
from ..evaluation.neighbours import nearest_neighbours
from .arguments import NATURAL, POSITIVE
from .coded import Coded, coded_options


def neighbours_options(parser):
    add = coded_options(parser, "neighbours")
    add("--index", type=NATURAL, nargs="+", metavar="I", help="images to find neighbours for (default 0 to 7)")
    add("-k", type=POSITIVE, default=8, metavar="K", help="neighbours per image (default 8)")


def neighbours(arguments):
    """Find the nearest neighbours of images, by the distance between codes, in a split of the data set."""
    coded = Coded(
        "neighbours", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json
    )
    queries = coded.find(range(min(8, len(coded.split))) if arguments.index is None else arguments.index)
    if arguments.k >= len(coded.split):
        raise ConfigError(f"-k {arguments.k}: an image has only {len(coded.split) - 1} others: give at most that many")
    codes = coded.encode()
    found, distances = others(queries, *nearest_neighbours(codes[queries], codes, arguments.k + 1))

    everything = np.concatenate((queries[:, None], found), axis=1)
    images = coded.images(everything.ravel()).reshape(*everything.shape, *coded.model.input_shape)
    captions = [[coded.name(q), *(f"{coded.name(i)}\n{d:.2f}" for i, d in zip(row, far, strict=True))]
                for q, row, far in zip(queries, found, distances, strict=True)]  # fmt: skip
    coded.answer(
        images, {"codes": codes[everything], "indices": everything, "distances": distances},
        {"images": queries.tolist(), "neighbours": found.tolist(), "distances": distances.tolist()},
        title="Images and their nearest neighbours, with the Euclidean distance between codes",
        column_labels=["image", *(f"{i + 1}." for i in range(arguments.k))], captions=sum(captions, []),
    )  # fmt: skip


def others(queries, found, distances):
    """Remove each query from its own neighbours: indices and distances (Q, k + 1) become (Q, k).

    If other images at distance 0 have displaced the query from the list, the last neighbour is removed instead.
    """
    keep = found != queries[:, None]
    keep[keep.all(axis=1), -1] = False
    return (array[keep].reshape(len(queries), -1) for array in (found, distances))
