"""`tinyae neighbours`: the images whose codes are nearest to those of others."""

import numpy as np

from ..errors import ConfigError
from ..evaluation.neighbours import nearest_neighbours
from .arguments import NATURAL, POSITIVE
from .coded import Coded, coded_options


def neighbours_options(parser):
    add = coded_options(parser, "neighbours")
    add("--index", type=NATURAL, nargs="+", metavar="I", help="images whose neighbours to find (default 0 to 7)")
    add("-k", type=POSITIVE, default=8, metavar="K", help="neighbours of each (default 8)")


def neighbours(arguments):
    """Find the images with the nearest codes, among all of the same split of the data."""
    coded = Coded(
        "neighbours", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json
    )
    queries = coded.find(range(min(8, len(coded.split))) if arguments.index is None else arguments.index)
    if arguments.k >= len(coded.split):
        raise ConfigError(f"-k {arguments.k}: beside an image there are {len(coded.split) - 1} others, ask for no more")
    codes = coded.encode()
    found, distances = others(queries, *nearest_neighbours(codes[queries], codes, arguments.k + 1))

    everything = np.concatenate((queries[:, None], found), axis=1)
    images = coded.images(everything.ravel()).reshape(*everything.shape, *coded.model.input_shape)
    captions = [[coded.name(q), *(f"{coded.name(i)}\n{d:.2f}" for i, d in zip(row, far, strict=True))]
                for q, row, far in zip(queries, found, distances, strict=True)]  # fmt: skip
    coded.answer(
        images, {"codes": codes[everything], "indices": everything, "distances": distances},
        {"images": queries.tolist(), "neighbours": found.tolist(), "distances": distances.tolist()},
        title="Images, and those with the nearest codes (Euclidean distance)",
        column_labels=["image", *(f"{i + 1}." for i in range(arguments.k))], captions=sum(captions, []),
    )  # fmt: skip


def others(queries, found, distances):
    """(Q, k) indices and distances of (Q, k + 1) without the query itself; without the last, where others at distance 0
    have pushed it out."""
    keep = found != queries[:, None]
    keep[keep.all(axis=1), -1] = False
    return (array[keep].reshape(len(queries), -1) for array in (found, distances))
