"""`tinyae transfer` decodes the style of an image with other labels."""

import numpy as np

from .. import explore
from .arguments import CALLED, NATURAL
from .coded import Coded, coded_options


def transfer_options(parser):
    add = coded_options(parser, "transfer")
    add("--index", type=NATURAL, nargs="+", metavar="I", help="images whose style is kept (default 0 to 7)")
    add("--to", nargs="+", metavar="CLASS", help=f"classes to decode the style with, each {CALLED} (default: all)")


def transfer(arguments):
    """Keep an image's style and change its class, with a model that takes labels."""
    coded = Coded(
        "transfer", arguments.run_path, arguments.backend, arguments.data_options, arguments.out, arguments.json
    )
    indices = coded.find(range(min(8, len(coded.split))) if arguments.index is None else arguments.index)
    coded.need_labels("a style is what the label leaves out")
    targets = range(coded.data.class_count) if arguments.to is None else map(coded.data.find_class, arguments.to)
    targets, labels = np.array(list(targets)), coded.labels[indices]
    images = explore.transfer(coded.model, coded.split.x[indices], labels, targets)
    styles = coded.model.style(coded.split.x[indices], labels)
    if coded.kind == ".png":
        images = np.concatenate((coded.images(indices)[:, None], images), axis=1)
    names = [coded.class_name(label) for label in targets]
    coded.answer(
        images, {"styles": styles, "labels": targets}, {"images": indices.tolist(), "labels": targets.tolist()},
        title="The style of each image, decoded with other labels", column_labels=["image", *names],
        row_labels=[coded.name(i) for i in indices],
    )  # fmt: skip
