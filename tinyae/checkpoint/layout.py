"""What a checkpoint holds: its `meta` by one schema, and the arrays that follow from it, by arithmetic alone."""

import math

import numpy as np

from ..errors import NotImportedError
from ..params import walk
from . import schema
from .classes import named

MOMENT = "optimizer."  # the names of the moments' arrays begin with it
DTYPES = ("float32", "float64")

ARGUMENT = schema.Either("a layer's argument", NoneType=schema.ANY, bool=schema.ANY, int=schema.INTEGER,
                         float=schema.NUMBER, str=schema.TEXT)  # fmt: skip
LAYER = schema.Table(ARGUMENT)  # `layer.config`
ARGUMENT.by_type |= {"list": schema.Each(ARGUMENT), "dict": LAYER}

# What `meta` holds; files of the first days have the names of the moments alone.
OPTION = schema.Either(
    "an option's value", NoneType=schema.ANY, bool=schema.ANY, int=schema.INTEGER, float=schema.NUMBER,
    str=schema.TEXT, list=schema.Each(
        schema.Either("one value", int=schema.INTEGER, float=schema.NUMBER, str=schema.TEXT, list=schema.SHAPE)
    ), dict=LAYER,
)  # fmt: skip
NAMES = schema.Each(schema.TEXT)
SETTINGS = schema.Record(
    {
        "batch_size": schema.COUNT, "optimizer": schema.NAME, "lr": schema.FINITE, "schedule": schema.NAME,
        "warmup": schema.COUNT, "clip_norm": schema.Maybe(schema.FINITE), "validation": schema.FINITE,
        "seed": schema.INTEGER, "data": schema.TEXT,
    },
    {
        "binarize": schema.Maybe(schema.NAME), "without_class": schema.Maybe(schema.INTEGER),
        "standardize": schema.BOOL, "epochs": schema.COUNT, "epsilon": schema.FINITE,
        "labels": schema.Maybe(schema.TEXT),
        "watched": schema.Table(schema.Row(schema.TEXT, schema.Maybe(schema.TEXT))),
        "class_names": schema.Maybe(NAMES),
    },
)  # fmt: skip
SIZE = schema.Either("a size", NoneType=schema.ANY, int=schema.COUNT, list=schema.SHAPE)
TRAINING = schema.Record(
    {
        "step": schema.COUNT,
        "sums": schema.Table(schema.Row(schema.NUMBER, schema.COUNT)),
        "best": schema.Maybe(
            schema.Record({"epoch": schema.COUNT, "step": schema.COUNT, "loss": schema.Maybe(schema.NUMBER)})
        ),
        "settings": SETTINGS,
    },
    {
        "epochs": schema.COUNT,
        # With what else `data.load` was told.
        "origin": schema.Maybe(schema.Record({"data": schema.TEXT, "size": SIZE}, {"codes": schema.BOOL}, OPTION)),
    },
)
TRAINED_ON = schema.Record({"dtype": schema.NAME, "low": schema.FINITE, "high": schema.FINITE})
META = schema.Record(
    {
        "model": schema.NAME, "config": schema.Table(OPTION), "params": schema.Table(schema.SHAPE),
        "state": schema.Table(schema.SHAPE), "dtype": schema.Is("float32 or float64", DTYPES.__contains__),
    },
    {
        "standardized": schema.Is("true or 'float64'", (True, "float64").__contains__), "trained_on": TRAINED_ON,
        "training": schema.Maybe(TRAINING), "class_names": NAMES,
        "class": schema.NAME,  # "module:name" of a class that is not tinyae's
        "moments": schema.Either("a dict or a list", dict=schema.Table(schema.COUNT), list=schema.Each(schema.NAME)),
    },
)  # fmt: skip

# A line of metrics.jsonl; a model adds what it reports.
RECORD = schema.Record(
    {"epoch": schema.COUNT, "step": schema.COUNT, "train": schema.Table(schema.NUMBER)},
    {
        "lr": schema.NUMBER, "validation": schema.Table(schema.NUMBER), "test": schema.Table(schema.NUMBER),
        "alarms": schema.Table(schema.TEXT),
    },
)  # fmt: skip


class Damage(Exception):
    """What is wrong with a file, in words."""


def layout(meta):
    """{name: (size, dtype)} of the arrays of a file with this `meta`, which is checked here."""
    try:
        META.validate(meta, "meta")
    except schema.Unfit as unfit:
        raise Damage(unfit) from None
    sizes = {part: sum(map(math.prod, meta[part].values())) for part in ("params", "state")}
    moments = meta.get("moments", {})
    moments = moments if isinstance(moments, dict) else dict.fromkeys(moments, sizes["params"])
    for name in moments:
        if not name.startswith(MOMENT):
            raise Damage(f"moments are named {MOMENT}..., not {schema.brief(name)}")
    sizes |= moments
    if meta.get("standardized"):
        shape = meta["config"].get("input_shape")
        if not schema.SHAPE.fits(shape):
            raise Damage(f"columns of an example of shape {schema.brief(shape)}")
        sizes["standardization"] = 2 * math.prod(shape)
    others = {"standardization": "float64"} if meta.get("standardized") == "float64" else {}  # before, the model's
    return {name: (size, np.dtype(others.get(name, meta["dtype"]))) for name, size in sizes.items()}


def check_shapes(meta, model_class=None):
    """Compare the shapes in `meta` with those that its options make, where the model is one of tinyae's.

    This is done by arithmetic alone, before any array is read or made, so that a file's options do not decide how much
    memory is taken. model_class: of the model that is to take up the file; one of a user's own makes its own shapes.
    """
    known = None if "class" in meta else named(meta["model"])
    if known is not None and model_class in (None, known):
        for part, shapes in _outline(known, meta).items():
            compare_shapes(part, meta[part], shapes)


def _outline(model_class, meta):
    """{"params": {name: shape}, "state": ...} of the model that `meta` describes; nothing is allocated."""

    class Known(Exception):
        """Ends the constructor where it has made its layers."""

    def build(networks, *args, **options):
        raise Known(networks)

    model = model_class.__new__(model_class)
    model.build = build
    try:
        model.__init__(**meta["config"], dtype=meta["dtype"])
    except Known as known:
        (networks,) = known.args
        shapes = {"params": {}, "state": {}}
        for name, (layer, shape) in networks.items():
            shapes["params"][name], shapes["state"][name] = layer.param_shapes(shape), layer.state_shapes(shape)
        return {part: dict(walk(tree)) for part, tree in shapes.items()}
    except (MemoryError, NotImportedError):
        raise
    except Exception as error:
        raise Damage(f"its options make no {meta['model']}: {error}") from None


def compare_shapes(part, theirs, ours):
    """Raise unless a file's shapes equal a model's, name by name and in one order."""
    for name in (*ours, *theirs):
        shapes = [None if side.get(name) is None else tuple(side[name]) for side in (theirs, ours)]
        if shapes[0] != shapes[1]:
            raise Damage(f"{part} has {schema.brief(name)} of shape {shapes[0]}, its options make {shapes[1]}")
    if list(theirs) != list(ours):
        raise Damage(f"{part} has its arrays in another order than its options make")


def check_finite(meta, arrays):
    for part in ("params", "state"):
        if not _is_finite(arrays[part]):
            first = int(np.argmin(np.isfinite(arrays[part])))
            ends = np.cumsum([math.prod(shape) for shape in meta[part].values()])
            name = list(meta[part])[int(np.searchsorted(ends, first, side="right"))]
            raise Damage(f"{name} has values that are NaN or infinite")
    if "standardization" in arrays:
        scale = arrays["standardization"].reshape(2, -1)[1]
        if not _is_finite(arrays["standardization"]) or (scale <= 0).any():
            raise Damage("the columns' means and scales are not finite, or a scale is not above 0")


def _is_finite(array):
    with np.errstate(invalid="ignore"):
        return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))
