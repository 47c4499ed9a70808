"""Parameters: one flat buffer, and named, shaped views of it.

Gradients and optimiser moments share the layout, so an optimiser step, clipping, a checkpoint or a directional
derivative is one line over one vector.
"""

import math

import numpy as np

from .backend import operations
from .errors import ShapeError, StaleParamsError


class ParamStore:
    """One 1-D buffer with named views.

    shapes: nested dict of shapes, e.g. {"encoder": {"1": {"weight": (784, 256), "bias": (256,)}}}.

    Attributes: `flat` (P,), `tree` the nested dict of views, `named` the same views by dotted name
    ("encoder.1.weight"), in the buffer's order, and `version`, which an optimiser step bumps.
    """

    def __init__(self, shapes, xp=np, dtype="float32"):
        self.shapes, self.xp, self.dtype = shapes, xp, np.dtype(dtype)
        sizes = {name: math.prod(shape) for name, shape in walk(shapes)}
        self.flat = xp.zeros(sum(sizes.values()), dtype=self.dtype)
        self.version = 0
        self.named, start = {}, 0
        for name, shape in walk(shapes):
            self.named[name] = self.flat[start : start + sizes[name]].reshape(shape)
            start += sizes[name]
        self.tree = nest(shapes, self.named)

    def __reduce__(self):
        """For pickle and copy: the buffer on the host, since views of it would come back as arrays of their own."""
        host = self.flat if self.xp is np else self.xp.asnumpy(self.flat)
        return _restored, (type(self), self.shapes, self.xp.__name__, self.dtype, host, self.version)

    def like(self):
        """A store of zeros with this store's layout, to add gradients into."""
        return GradientStore(self.shapes, self.xp, self.dtype)

    def subset(self, names):
        """The store of some top-level entries that follow one another: the same memory and the same version."""
        return PartStore(self, names)

    def fill(self, tree):
        """Copy a nested dict of arrays of the same shapes into the views."""
        values = dict(walk(tree))
        if values.keys() != self.named.keys():
            odd = sorted(values.keys() ^ self.named.keys())
            raise ShapeError(f"parameters do not fit: {', '.join(odd)} on one side only")
        for name, view in self.named.items():
            if view.shape != values[name].shape:
                raise ShapeError(f"parameter {name}: expected {view.shape}, got {values[name].shape}")
        for name, view in self.named.items():
            view[...] = values[name]
        self.version += 1
        return self

    def check_version(self, version):
        """Raise StaleParamsError if the parameters changed after the forward pass, which read `version`."""
        if version != self.version:
            raise StaleParamsError(
                f"the parameters changed between forward (version {version}) and backward (version {self.version}): "
                "run the forward pass again"
            )


def _restored(kind, shapes, module, dtype, flat, version):
    """The store that `ParamStore.__reduce__` took apart; on a device again where it was on one."""
    from .backend import Backend

    store = kind(shapes, Backend(module).xp, dtype)
    store.flat[...] = store.xp.asarray(flat)
    store.version = version
    return store


class PartStore(ParamStore):
    """Part of a store, for an optimiser that moves some networks and leaves the others as they are."""

    def __init__(self, whole, names):
        order = list(whole.shapes)
        first = order.index(names[0])
        if tuple(order[first : first + len(names)]) != tuple(names):
            raise ShapeError(f"a part of a store is some of {order} in this order without gaps, not {list(names)}")
        self.whole, self.xp, self.dtype = whole, whole.xp, whole.dtype
        self.shapes = {name: whole.shapes[name] for name in names}
        before = {name: whole.shapes[name] for name in order[:first]}
        start, size = (sum(math.prod(shape) for _, shape in walk(tree)) for tree in (before, self.shapes))
        self.flat = whole.flat[start : start + size]
        self.named = {name: whole.named[name] for name, _ in walk(self.shapes)}
        self.tree = {name: whole.tree[name] for name in names}

    def __reduce__(self):
        return PartStore, (self.whole, tuple(self.shapes))

    @property
    def version(self):
        return self.whole.version

    @version.setter
    def version(self, value):
        self.whole.version = value


class GradientStore(ParamStore):
    """Gradients by the layout of the parameters; `clear` is how a step begins and `settle` how it ends."""

    def __init__(self, shapes, xp=np, dtype="float32"):
        super().__init__(shapes, xp, dtype)
        self.nodes = []
        self.tree = self._lazy(self.tree)

    def __reduce__(self):
        self.settle()
        return super().__reduce__()

    def clear(self):
        """All gradients count as zero, but their memory is not touched: see `Gradients`."""
        for node, leaves in self.nodes:
            node.unset = set(leaves)

    def settle(self):
        """Zero what nothing was added to since `clear`, so that `flat` is right."""
        for node, _ in self.nodes:
            for name in tuple(node.unset):
                node[name]

    def _lazy(self, tree):
        node = Gradients((key, self._lazy(value) if isinstance(value, dict) else value) for key, value in tree.items())
        self.nodes.append((node, [key for key, value in tree.items() if not isinstance(value, dict)]))
        return node


class Gradients(dict):
    """Arrays to add into, zeroed when first asked for.

    So grads["bias"] += db works as on any dict, and `add_product` may write a first product in place, which
    spares a pass of zeros and a pass of additions over the largest arrays.
    """

    unset = frozenset()

    def __getitem__(self, name):
        array = super().__getitem__(name)
        if name in self.unset:
            self.unset.discard(name)
            array.fill(0)
        return array

    def take_unset(self, name):
        """The array itself if nothing was added to it yet, for the caller to overwrite; else None."""
        if name not in self.unset:
            return None
        self.unset.discard(name)
        return super().__getitem__(name)


def add_product(grads, name, x, dy):
    """grads[name] (K, F) += x.T @ dy.   (N, K), (N, F). A first product is written in place: see `Gradients`."""
    fresh = grads.take_unset(name) if isinstance(grads, Gradients) else None
    if fresh is None:
        operations.add_product(grads[name], x, dy)
    else:
        operations.add_product(fresh, x, dy, True)


def walk(tree, prefix=""):
    """(dotted name, leaf) of every leaf of a nested dict, in order."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from walk(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def nest(shape_of, named, prefix=""):
    """The nested dict with the structure of `shape_of` and the leaves of `named`."""
    return {
        key: nest(value, named, f"{prefix}{key}.") if isinstance(value, dict) else named[f"{prefix}{key}"]
        for key, value in shape_of.items()
    }


def child(tree, name):
    """`tree[name]`, or None where there is no tree: a frozen layer has no gradients, a stateless one no state."""
    return None if tree is None else tree[name]
