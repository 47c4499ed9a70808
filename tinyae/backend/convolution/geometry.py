"""How windows lie over an image."""

import math


class Geometry:
    """How windows lie over an image: stride, padding ((top, bottom), (left, right)), dilation, groups."""

    def __init__(self, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups

    @property
    def key(self):
        """What tells geometries apart, for tables made once."""
        return self.stride, self.padding, self.dilation, self.groups

    def output_size(self, size, kernel_size):
        """(OH, OW) of an image of `size` (H, W) under a kernel of `kernel_size`; below 1 where it does not fit."""
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(size, kernel_size, self.stride, self.padding, self.dilation, strict=True)
        )

    @property
    def start(self):
        """Row and column of the image at which the first window begins."""
        return -self.padding[0][0], -self.padding[1][0]

    def of_part(self, kernel_size, part):
        """The geometry under which a part of the kernel, slices (rows, columns), sees what it sees in the whole.

        Padding shrinks by the taps left out on its side; below zero, the windows keep off the image's edge.
        """
        padding = tuple(
            (before - d * taps.start, after - d * (k - taps.stop))
            for (before, after), d, k, taps in zip(self.padding, self.dilation, kernel_size, part, strict=True)
        )
        return Geometry(self.stride, padding, self.dilation, self.groups)


class StridePhase:
    """Along one axis, the results first, first + step, ... (`count` of them) and the windows that they see:

    result m has positions start + m stride + t dilation, t < taps. kernel: the slice of the kernel's taps for them.
    """

    def __init__(self, first, step, count, start, stride, dilation, taps, kernel):
        self.first, self.step, self.count, self.start = first, step, count, start
        self.stride, self.dilation, self.taps, self.kernel = stride, dilation, taps, kernel


def output_phase(length, kernel, geometry, axis):
    """The one phase of the output's axis, over an image axis of `length`."""
    count = geometry.output_size((length,) * 2, (kernel,) * 2)[axis]
    start, stride, dilation = geometry.start[axis], geometry.stride[axis], geometry.dilation[axis]
    return StridePhase(0, 1, count, start, stride, dilation, kernel, slice(None))


def input_phases(length, kernel, geometry, axis):
    """The phases of the input gradient's axis, of `length`; windows are over dy, taps from the last to the first.

    Position a = q + s m of dx meets tap u where (a + p - u d) / s is an integer.
    """
    s, d, p = geometry.stride[axis], geometry.dilation[axis], geometry.padding[axis][0]
    period = s // math.gcd(s, d)  # the taps that one phase meets are so far apart
    for q in range(min(s, length)):
        first = next((u for u in range(min(period, kernel)) if (q + p - u * d) % s == 0), None)
        count = -(-(length - q) // s)
        if first is None:
            yield StridePhase(q, s, count, 0, 1, 1, 0, slice(0, 0))
            continue
        taps = -(-(kernel - first) // period)
        last = first + (taps - 1) * period
        backwards = slice(last, first - 1 if first else None, -period)
        yield StridePhase(q, s, count, (q + p - last * d) // s, 1, d * period // s, taps, backwards)


def split(weight, groups):
    """The kernels of the groups: (kh, kw, C / groups, O) -> [(kh, kw, C / groups, O / groups)]."""
    filters = weight.shape[3] // groups
    return [weight[..., g * filters : (g + 1) * filters] for g in range(groups)]


def taps(image_size, result_size, size, geometry):
    """For each tap of the window, in raster order: (where it lies in y, where in x), as index pairs.

    A tap beyond the border has no pixel for the first or last windows, which are left out on both sides.
    """
    for u in range(size[0]):
        for v in range(size[1]):
            sides = [
                _overlap(n, o, s, tap * d + start)
                for n, o, s, d, tap, start in zip(
                    image_size, result_size, geometry.stride, geometry.dilation, (u, v), geometry.start, strict=True
                )
            ]
            (y_rows, x_rows), (y_columns, x_columns) = sides
            yield (slice(None), y_rows, y_columns), (slice(None), x_rows, x_columns)


def _overlap(length, count, stride, offset):
    """Slices of the windows i in [0, count) whose i stride + offset is a pixel in [0, length), and of these pixels."""
    first = max(0, -(offset // stride)) if offset < 0 else 0
    last = min(count, (length - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    start = first * stride + offset
    return slice(first, last), slice(start, start + (last - first - 1) * stride + 1, stride)
