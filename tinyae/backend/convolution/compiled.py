"""Convolution by the compiled products: the lists of windows that they walk over.

A few images at a time are copied into a workspace, each within its border of zeros, where every window is some rows of
contiguous numbers; `native/correlate.cpp` and `native/accumulate.cpp` walk over them. Where kernels have three rows and
channels are many, the fast algorithm of `native/winograd.cpp` takes their place.

    workspace: (H + border) rows       a window of 2 x 2 taps, C channels a pixel
    . . . . . .                        row 0: 2 C numbers from its corner on
    . a b c d .                        row 1: 2 C numbers, one row of the workspace later
    . e f g h .                        the next window: s C numbers to the right
"""

import ctypes
import functools
import math

import numpy as np

from .. import native
from ..native.address import address
from ..threads import available
from .geometry import Geometry, StridePhase, input_phases, output_phase, split

FAST_CHANNELS = 64  # the fewest channels, in and out, for which the fast algorithm pays
CHUNK = 1 << 16  # numbers of padded images at a time: 256 KiB, a part of the second-level cache


def _structure(name, *fields):
    fields = [(field, ctypes.c_long) if isinstance(field, str) else field for field in fields]
    return type(name, (ctypes.Structure,), {"_fields_": fields})


Border = _structure("Border", "height", "row", "top", "left", "padded", "padded_row")
Window = _structure("Window", "taps", "tap", "runs", "run", "length")
Grid = _structure(
    "Grid", "rows", "columns", "out", "out_row", "out_column", "inside", "in_row", "in_column", ("window", Window),
    "weights",
)  # fmt: skip
Longs = ctypes.c_long * 4


def output(x, weight, geometry, bias, fast):
    if fast and _pays(geometry, weight.shape):
        return _fast_output(x, weight, geometry.start, geometry.output_size(x.shape[1:3], weight.shape[:2]), bias)
    plan = _output_plan(x.shape[1:], weight.shape, geometry.key)
    return _correlate(plan, x, split(weight, geometry.groups), bias)


def input_gradient(dy, weight, geometry, size, bias):
    if _pays(geometry, weight.shape):
        start = tuple(-s - k + 1 for s, k in zip(geometry.start, weight.shape[:2], strict=True))
        return _fast_output(dy, weight[::-1, ::-1].transpose(0, 1, 3, 2), start, tuple(size), bias)
    plan = _input_plan(dy.shape[1:], weight.shape, geometry.key, tuple(size))
    return _correlate(plan, dy, [w.transpose(0, 1, 3, 2) for w in split(weight, geometry.groups)], bias)


def weight_gradient(x, dy, geometry, kernel_size):
    if _pays(geometry, (*kernel_size, x.shape[3], dy.shape[3])):
        return _fast_weight_gradient(x, dy, geometry.start, kernel_size[1])
    groups, channels, filters = geometry.groups, x.shape[3] // geometry.groups, dy.shape[3] // geometry.groups
    plan = _output_plan(x.shape[1:], (*kernel_size, channels, dy.shape[3]), geometry.key)
    x, border = np.ascontiguousarray(x), plan.border
    chunk = plan.chunk(len(x))
    dw = np.zeros((groups, *kernel_size, channels, filters), np.float32)
    swapped, count = filters < 8 and plan.grids[0].window.length > filters, available()
    workspaces = np.empty((count, chunk * plan.image), np.float32)
    for g, grid in enumerate(plan.grids):
        dyg = np.ascontiguousarray(dy if groups == 1 else dy[..., g * filters : (g + 1) * filters])
        native.library().accumulate(
            address(dw[g]), ctypes.byref(grid.window), filters, len(x), chunk, address(x), ctypes.byref(border),
            address(workspaces), grid.in_row, grid.in_column, grid.inside, address(dyg), grid.rows, grid.columns,
            swapped, count,
        )  # fmt: skip
    return dw[0] if groups == 1 else dw.transpose(1, 2, 3, 0, 4).reshape(*kernel_size, channels, -1)


class Plan:
    """What is known of a correlation before its numbers.

    shape: of a result. grids, kernels: for each grid of results, what the compiled product needs, and which part of the
    weights (kh, kw, in, out) it sees, as index. image: floats of a padded image. products: multiply-adds of an image.
    """

    def __init__(self, shape, phases, image_shape, groups, channels, filters):
        self.shape, self.filters = shape, filters
        self.border = border = _border(image_shape, phases)
        top, left = border.top, border.left // image_shape[2]
        self.image = border.padded * border.padded_row or border.height * border.row
        pixel, row = image_shape[2], border.padded_row if border.padded else border.row
        grids, self.kernels, self.packed, self.products = [], [], 0, 1
        for rows, columns in phases:
            for g in range(groups):
                if columns.dilation == groups == 1:
                    runs = 1, 0, columns.taps * channels
                else:
                    runs = columns.taps, columns.dilation * pixel, channels
                inside = (rows.start + top) * row + (columns.start + left) * pixel + g * channels
                out = (rows.first * shape[1] + columns.first) * shape[2] + g * filters
                grids.append(Grid(
                    rows.count, columns.count, out, rows.step * shape[1] * shape[2], columns.step * shape[2],
                    inside, rows.stride * row, columns.stride * pixel,
                    Window(rows.taps, rows.dilation * row, *runs), self.packed,
                ))  # fmt: skip
                self.kernels.append((rows.kernel, columns.kernel, g))
                self.products += rows.count * columns.count * rows.taps * columns.taps * channels * filters
                self.packed += native.library().packed_size(rows.taps * columns.taps * channels, filters)
        self.grids = (Grid * len(grids))(*grids)

    def chunk(self, count):
        """How many of `count` padded images to work on at a time."""
        return max(1, min(count, CHUNK // self.image))


def _border(image_shape, phases):
    height, width, channels = image_shape
    sides = []
    for length, axis in ((height, 0), (width, 1)):
        seen = [phase[axis] for phase in phases if phase[axis].taps and phase[axis].count]
        ends = [p.start + (p.count - 1) * p.stride + (p.taps - 1) * p.dilation + 1 for p in seen]
        sides.append((max(0, *(-p.start for p in seen), 0), max(0, *(end - length for end in ends), 0)))
    (top, bottom), (left, right) = sides
    padded = top + height + bottom if any(map(any, sides)) else 0
    return Border(height, width * channels, top, left * channels, padded, (left + width + right) * channels)


@functools.lru_cache(512)
def _output_plan(image_shape, kernel_shape, key):
    geometry, (kh, kw, channels, filters) = Geometry(*key), kernel_shape
    phase = output_phase(image_shape[0], kh, geometry, 0), output_phase(image_shape[1], kw, geometry, 1)
    shape = phase[0].count, phase[1].count, filters
    return Plan(shape, [phase], image_shape, geometry.groups, channels, filters // geometry.groups)


@functools.lru_cache(512)
def _input_plan(image_shape, kernel_shape, key, size):
    geometry, (kh, kw, channels, filters) = Geometry(*key), kernel_shape
    phases = [
        (rows, columns)
        for rows in input_phases(size[0], kh, geometry, 0)
        for columns in input_phases(size[1], kw, geometry, 1)
    ]
    groups = geometry.groups
    return Plan((*size, channels * groups), phases, image_shape, groups, filters // groups, channels)


def _correlate(plan, x, kernels, bias):
    """kernels: (kh, kw, in, out) float32 for each group, any views."""
    library, x = native.library(), np.ascontiguousarray(x)
    packed = np.empty(plan.packed, np.float32)
    for grid, (rows, columns, g) in zip(plan.grids, plan.kernels, strict=True):
        own_bias = None if bias is None else bias[g * plan.filters : (g + 1) * plan.filters]
        _pack(kernels[g][rows, columns], own_bias, packed[grid.weights :])
    out, count = np.empty((len(x), *plan.shape), np.float32), available()
    chunk = plan.chunk(len(x))
    workspaces = np.empty((count, chunk * plan.image), np.float32)
    library.correlate(
        plan.grids, len(plan.grids), plan.filters, address(packed), len(x), chunk, address(x),
        ctypes.byref(plan.border), address(workspaces), address(out), math.prod(plan.shape), plan.products, count,
    )  # fmt: skip
    return out


def _pack(kernel, bias, packed):
    """A kernel (kh, kw, in, out), any view, and its bias or None, into `packed` as `correlate.cpp` takes them."""
    strides = (stride // kernel.itemsize for stride in kernel.strides)
    bias = None if bias is None else address(bias)
    native.library().pack(address(kernel), Longs(*kernel.shape), Longs(*strides), bias, address(packed))


Fast = _structure("Fast", "rows", "columns", "channels", "filters", "taps", "first", "pairs")


def _pays(geometry, kernel_shape):
    """Whether the fast algorithm of `native/winograd.cpp` fits, and saves more than its sums cost."""
    plain = kernel_shape[0] == 3 and geometry.groups == 1 and geometry.stride == geometry.dilation == (1, 1)
    return plain and min(kernel_shape[2:]) >= FAST_CHANNELS


@functools.lru_cache(512)
def _fast_plan(image_shape, start, size, kw, filters):
    """(Fast, Border, floats of a workspace): the padded image has whole pairs of rows."""
    (rows, columns), channels = size, image_shape[2]
    down = StridePhase(0, 1, rows + rows % 2, start[0], 1, 1, 3, None)
    phase = down, StridePhase(0, 1, columns, start[1], 1, 1, kw, None)
    border = _border(image_shape, [phase])
    border.padded = border.padded or border.height
    width = columns + kw - 1
    pairs = max(1, min(CHUNK // (4 * width * channels), CHUNK // (4 * columns * filters), (rows + 1) // 2))
    first = (start[0] + border.top) * border.padded_row + start[1] * channels + border.left
    room = border.padded * border.padded_row + 4 * pairs * (width * channels + columns * filters)
    return Fast(rows, columns, channels, filters, kw, first, pairs), border, room


def _fast_output(x, weight, start, size, bias):
    x, (_, kw, channels, filters) = np.ascontiguousarray(x), weight.shape
    fast, border, room = _fast_plan(x.shape[1:], start, size, kw, filters)
    w0, w1, w2 = weight
    kernels, library = (w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2), native.library()  # (kw, C, O) each
    packed = np.empty((4, library.packed_size(kw * channels, filters)), np.float32)
    for q, kernel in enumerate(kernels):
        _pack(kernel[None], bias if q == 1 else None, packed[q])  # m1 is in both rows
    y, count = np.empty((len(x), *size, filters), np.float32), available()
    workspaces = np.empty((count, room), np.float32)
    library.correlate_fast(
        ctypes.byref(fast), address(packed), packed.shape[1], len(x), address(x), ctypes.byref(border),
        address(workspaces), address(y), count,
    )  # fmt: skip
    return y


def _fast_weight_gradient(x, dy, start, kw):
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    channels, filters, count = x.shape[3], dy.shape[3], available()
    fast, border, room = _fast_plan(x.shape[1:], start, dy.shape[1:3], kw, filters)
    g, workspaces = np.zeros((4, kw, channels, filters), np.float32), np.empty((count, room), np.float32)
    native.library().accumulate_fast(
        ctypes.byref(fast), address(g), len(x), address(x), ctypes.byref(border), address(workspaces), address(dy),
        count,
    )  # fmt: skip
    g0, g1, g2, g3 = g
    return np.stack((g0 + (g1 + g2) / 2, (g1 - g2) / 2, (g1 + g2) / 2 - g3))
