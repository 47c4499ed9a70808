"""The float32 operations that users run, compiled or by NumPy, compared with the same operations in float64.

Finite differences check the formulas in float64; training runs another program for the same numbers. `rounding` has
the limit of their difference.
"""

import math

import numpy as np

from ..backend import Noise, operations
from ..backend.convolution import Geometry
from ..params import ParamStore, add_product
from .report import Report
from .rounding import EPS, Case


def check_operation(name, seed=0):
    """A Report of one operation: compiled, where there is a library, and by NumPy."""
    report = Report(name, EPS)
    for case in OPERATIONS[name](Noise(seed).child(name)):
        if operations.compile_now():
            case.check_rounding(report, "compiled")
        with operations.formulas_alone():
            case.check_rounding(report, "NumPy")
    yield report


def _normal(noise, **shapes):
    return {name: noise.normal(name, shape, "float32") for name, shape in shapes.items()}


# Convolution

# (image, kernel, stride, padding, dilation, groups, channels and filters of a group). Together: all remainders of
# strides and dilations, windows that miss pixels, tiles of every width, images by chunks, and the fast algorithm.
CONVOLUTIONS = {
    "plain": ((9, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 3, 5),
    "stride": ((9, 8), (3, 4), (2, 3), ((0, 1), (2, 0)), (1, 1), 1, 4, 8),
    "stride and dilation": ((11, 13), (3, 2), (2, 3), ((1, 1), (0, 2)), (3, 2), 1, 2, 4),
    "stride and dilation of one divisor": ((12, 9), (3, 3), (2, 4), ((2, 2), (1, 3)), (2, 2), 1, 3, 2),
    "groups": ((8, 7), (2, 3), (2, 1), ((1, 0), (1, 1)), (1, 2), 3, 5, 4),
    "one filter": ((7, 6), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 17, 1),
    "one channel": ((9, 9), (4, 4), (2, 2), ((1, 1), (1, 1)), (1, 1), 1, 1, 33),
    "a gap between windows": ((10, 9), (2, 2), (3, 3), ((0, 0), (0, 0)), (1, 1), 1, 4, 3),
    "windows off the edges": ((9, 8), (2, 3), (1, 1), ((2, -1), (-1, 3)), (1, 2), 1, 6, 7),
    "1 x 1": ((6, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, 19, 21),
    "chunks": ((40, 40), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1, 20, 12),
    "chunks, few filters": ((40, 40), (5, 5), (1, 1), ((2, 2), (2, 2)), (1, 1), 1, 20, 3),
    "chunks, one channel": ((33, 33), (9, 9), (1, 1), ((4, 4), (4, 4)), (1, 1), 1, 1, 8),
    "fast": ((31, 18), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1, 64, 68),
    "fast, uneven": ((6, 9), (3, 2), (1, 1), ((2, 0), (0, 1)), (1, 1), 1, 65, 64),
}
IMAGES = 3


def _convolutions(noise):
    """(label, arrays, geometry, (H, W), kernel size, whether the fast algorithm may be taken)."""
    for label, (size, kernel, stride, padding, dilation, groups, channels, filters) in CONVOLUTIONS.items():
        geometry = Geometry(stride, padding, dilation, groups)
        windows = geometry.output_size(size, kernel)
        arrays = _normal(
            noise.child(label), x=(IMAGES, *size, channels * groups), weight=(*kernel, channels, filters * groups),
            bias=(filters * groups,), dy=(IMAGES, *windows, filters * groups), other_bias=(channels * groups,),
        )  # fmt: skip
        yield label, arrays, geometry, size, kernel, label.startswith("fast")


def _taller(geometry, weight):
    """(geometry, kernel of five rows) whose sums of magnitudes bound the fast algorithm's.

    It adds and subtracts neighbouring rows first, so what goes into a result are the rows -1 to 3 from its window's
    first, each times all rows of the kernel: at most twice the sum of their magnitudes.
    """
    (top, bottom), sides = geometry.padding
    return Geometry(padding=((top + 1, bottom + 1), sides)), (2 * abs(weight).sum(axis=0)[None]).repeat(5, axis=0)


def _output(noise):
    for label, arrays, geometry, _, _, is_fast in _convolutions(noise):
        arrays = {name: arrays[name] for name in ("x", "weight", "bias")}
        for fast in (True, False):

            def run(x, weight, bias, geometry=geometry, fast=fast):
                return {
                    "y": operations.convolution(x, weight, geometry, bias, fast=fast),
                    "y without bias": operations.convolution(x, weight, geometry, fast=fast),
                }

            def magnitudes(x, weight, bias, geometry=geometry, run=run):
                taller, kernel = _taller(geometry, weight)
                return run(abs(x), kernel, abs(bias), taller)

            terms = math.prod(arrays["weight"].shape[:3]) + 10
            yield Case(label, arrays, run, terms, magnitudes if is_fast and fast else None)


def _input_gradient(noise):
    for label, arrays, geometry, size, _, is_fast in _convolutions(noise):
        arrays = {"dy": arrays["dy"], "weight": arrays["weight"], "bias": arrays["other_bias"]}

        def run(dy, weight, bias, geometry=geometry, size=size):
            return {
                "dx": operations.convolution_input_gradient(dy, weight, geometry, size),
                "dx plus bias": operations.convolution_input_gradient(dy, weight, geometry, size, bias),
            }

        def magnitudes(dy, weight, bias, geometry=geometry, run=run):
            taller, kernel = _taller(geometry, weight)
            return run(abs(dy), kernel, abs(bias), taller)

        kh, kw, _, filters = arrays["weight"].shape
        yield Case(label, arrays, run, kh * kw * filters + 10, magnitudes if is_fast else None)


def _weight_gradient(noise):
    for label, arrays, geometry, _, kernel, is_fast in _convolutions(noise):
        arrays = {"x": arrays["x"], "dy": arrays["dy"]}

        def run(x, dy, geometry=geometry, kernel=kernel):
            return {"dw": operations.convolution_weight_gradient(x, dy, geometry, kernel)}

        def magnitudes(x, dy, geometry=geometry, kernel=kernel):
            taller, _ = _taller(geometry, x)
            rows = operations.convolution_weight_gradient(abs(x), abs(dy), taller, (5, kernel[1]))
            return {"dw": (2 * rows.sum(axis=0)[None]).repeat(3, axis=0)}

        yield Case(label, arrays, run, math.prod(arrays["dy"].shape[:3]) + 10, magnitudes if is_fast else None)


# Dense layers


def _sizes(noise):
    """(label, (N, K, F), noise): examples, inputs, units."""
    for size in ((1, 1, 1), (3, 5, 4), (7, 33, 20), (130, 70, 48)):
        yield "x".join(map(str, size)), size, noise.child(str(size))


def _affine(noise):
    for label, (n, k, f), drawn in _sizes(noise):
        arrays = _normal(drawn, x=(n, k), weight=(k, f), bias=(f,))

        def run(x, weight, bias):
            return {"y": operations.affine(x, weight, bias), "y without bias": operations.affine(x, weight)}

        yield Case(label, arrays, run, k + 2)


def _product_transposed(noise):
    for label, (n, k, f), drawn in _sizes(noise):
        arrays = _normal(drawn, dy=(n, f), weight=(k, f))
        yield Case(label, arrays, lambda dy, weight: {"dx": operations.product_transposed(dy, weight)}, f + 1)


def _add_product(noise):
    for label, (n, k, f), drawn in _sizes(noise):
        arrays = _normal(drawn, x=(n, k), dy=(n, f), before=(k, f))

        def run(x, dy, before):
            grads, first = {"weight": before.copy()}, ParamStore({"weight": before.shape}, dtype=before.dtype).like()
            add_product(grads, "weight", x, dy)
            first.flat.fill(np.nan)
            first.clear()
            add_product(first.tree, "weight", x, dy)
            return {"dweight": grads["weight"], "dweight, the first share": first.named["weight"]}

        yield Case(label, arrays, run, n + 2)


def _add_rows(noise):
    for shape in ((1, 3), (5, 6, 7, 8), (300, 33)):
        arrays = _normal(noise.child(str(shape)), dy=shape, before=shape[-1:])

        def run(dy, before):
            grads = {"bias": before.copy()}
            operations.add_rows(grads["bias"], dy)
            return grads

        yield Case(_named(shape), arrays, run, math.prod(shape[:-1]) + 1)


# Passes over all numbers


def _relu(noise):
    arrays = _normal(noise, x=(5, 431), dy=(5, 431))
    arrays["x"][:, ::3] = 0  # here the slope is 0 by convention

    def run(x, dy):
        y = operations.relu(x)
        return {"y": y, "dx": operations.relu_gradient(y, dy)}

    yield Case("zeros among them", arrays, run, 0)


def _bce(noise):
    for count in (1, 3000):
        arrays = _normal(noise.child(str(count)), logits=(count,)) | {"target": noise.uniform("target", (count,))}
        arrays["logits"] *= 8

        def run(logits, target):
            loss, dlogits = operations.bce_with_logits(logits, target, 0.25)
            return {"loss": loss, "dlogits": dlogits}

        def magnitudes(logits, target):
            tail = np.log1p(np.exp(-abs(logits)))
            loss = np.maximum(logits, 0) + abs(logits * target) + tail
            return {"loss": loss.sum(), "dlogits": 0.25 * (np.exp(np.minimum(logits, 0) - tail) + target)}

        yield Case(f"{count} numbers", arrays, run, {"loss": count + 16, "dlogits": 16}, magnitudes)


ADAM = 0.9, 0.99, 0.1, 1e-3, 0.98  # beta1, beta2, rate, epsilon, shrink


def _adam(noise):
    for parts in (1, 3):
        arrays = _normal(noise, w=(2100,), m=(2100,), v=(2100,), **{f"g{i}": (2100,) for i in range(parts)})
        arrays["v"] = abs(arrays["v"])

        def run(w, m, v, **gradients):
            w, m, v = w.copy(), m.copy(), v.copy()
            operations.adam(w, list(gradients.values()), m, v, *ADAM)
            return {"w": w, "m": m, "v": v}

        def magnitudes(w, m, v, **gradients):
            beta1, beta2, rate, epsilon, shrink = ADAM
            g = sum(map(abs, gradients.values()))
            moment, square = beta1 * abs(m) + g, beta2 * v + g * g
            own = beta2 * v + sum(gradients.values()) ** 2  # v itself, where gradients may cancel
            step = rate * moment / (np.sqrt(own) + epsilon)
            return {"w": shrink * abs(w) + step * (1 + square / own), "m": moment, "v": square}

        yield Case(f"{parts} gradients", arrays, run, parts + 12, magnitudes)


# Pooling


POOLS = (  # (windows, stride, padding, channels): with and without overlap
    ((2, 2), (2, 2), ((0, 0), (0, 0)), 5),
    ((3, 3), (2, 2), ((1, 1), (0, 1)), 1),
    ((2, 3), (1, 2), ((1, 0), (1, 2)), 20),
)


def _pooling(noise):
    """Values are a few integers, so that there are ties."""
    for size, stride, padding, channels in POOLS:
        geometry, image = Geometry(stride, padding), (7, 9)
        windows, drawn = geometry.output_size(image, size), noise.child(str(size))
        arrays = _normal(drawn, x=(IMAGES, *image, channels), dy=(IMAGES, *windows, channels))
        arrays["x"] = np.rint(arrays["x"])

        def run(x, dy, size=size, geometry=geometry, windows=windows):
            y = operations.max_pool(x, size, geometry, windows)
            return {"y": y, "dx": operations.max_pool_gradient(x, y, dy, size, geometry)}

        def magnitudes(x, dy, run=run):
            found = run(x, abs(dy))
            return {"y": abs(found["y"]), "dx": found["dx"]}

        yield Case(f"ties, windows {_named(size)} of stride {_named(stride)}", arrays, run, math.prod(size), magnitudes)


# Normalisation


EPSILON = 0.1  # large, so that one row, of variance 0, is no special case


def _batch_norm(noise):
    """The limits follow the formulas: an error of the mean goes through x - mean, one of var through 1 / sigma."""
    for shape in ((1, 3), (7, 16), (3, 11, 13, 5), (300, 33)):
        vectors = dict.fromkeys(("scale", "shift", "mean", "var"), shape[-1:])
        arrays, rows = _normal(noise.child(str(shape)), x=shape, **vectors), tuple(range(len(shape) - 1))
        arrays["x"] += 1
        arrays["var"] **= 2

        def run(x, scale, shift, mean, var):
            names = "y", "mean", "var", "1 / sigma"
            found = dict(zip(names, operations.batch_norm(x, scale, shift, EPSILON), strict=True))
            return found | {"y of constants": operations.batch_norm(x, scale, shift, EPSILON, mean, var)[0]}

        def magnitudes(x, scale, shift, mean, var, run=run, rows=rows):
            inverse, constant = run(x, scale, shift, mean, var)["1 / sigma"], 1 / np.sqrt(var + EPSILON)
            x, scale, shift, mean = map(abs, (x, scale, shift, mean))
            own = x + x.mean(axis=rows)
            square = 3 * (own * own).mean(axis=rows)
            slope = 1 + square * inverse**2  # a relative error of var moves 1 / sigma so far; and its own roundings
            return {
                "y": own * scale * inverse * slope + shift, "mean": x.mean(axis=rows), "var": square,
                "1 / sigma": inverse * slope, "y of constants": (x + mean) * scale * constant + shift,
            }  # fmt: skip

        yield Case(_named(shape), arrays, run, math.prod(shape[:-1]) + 10, magnitudes)


def _batch_norm_backward(noise):
    for shape in ((1, 3), (7, 16), (3, 11, 13, 5), (300, 33)):
        vectors = dict.fromkeys(("scale", "mean", "inverse"), shape[-1:])
        arrays, count = _normal(noise.child(str(shape)), x=shape, dy=shape, **vectors), math.prod(shape[:-1])
        arrays["x"] += 1

        def run(x, dy, scale, mean, inverse):
            found = dict(
                zip(
                    ("dx", "dscale", "dshift"), operations.batch_norm_backward(dy, x, scale, mean, inverse), strict=True
                )
            )
            constant = operations.batch_norm_backward(dy, x, scale, mean, inverse, True)
            return found | {"dx of constants": constant[0]}

        def magnitudes(x, dy, scale, mean, inverse, count=count):
            x, dy, scale, mean, inverse = map(abs, (x, dy, scale, mean, inverse))
            rows, offset = tuple(range(x.ndim - 1)), x + mean
            dscale, dshift, direct = (dy * offset).sum(axis=rows) * inverse, dy.sum(axis=rows), scale * inverse
            dx = direct * (dy + (inverse * dscale * offset + dshift) / count)
            return {"dx": dx, "dscale": dscale, "dshift": dshift, "dx of constants": direct * dy}

        yield Case(_named(shape), arrays, run, count + 12, magnitudes)


# Codes


def _codes(noise):
    for rows, units, count in ((5, 1, 3), (700, 17, 40)):
        arrays = _normal(noise.child(str(units)), z=(rows, units), codebook=(count, units))
        arrays["z"][:2] = (arrays["codebook"][0] + arrays["codebook"][1]) / 2
        arrays["codebook"][2] = arrays["codebook"][0]  # two equal codes: the first is chosen

        def run(z, codebook):
            found = operations.nearest_code(z, codebook)
            counts, sums = operations.code_sums(z, found, len(codebook))
            return {"codes": found, "counts": counts, "sums": sums}

        def magnitudes(z, codebook, run=run):
            found = run(z, codebook)
            _, sums = operations.code_sums(abs(z), found["codes"], len(codebook))
            return {"codes": np.full(len(z), 0.0), "counts": 0 * found["counts"], "sums": sums}

        yield Case(f"{count} codes of {units}", arrays, run, 1, magnitudes)


def _named(shape):
    return " x ".join(map(str, shape))


OPERATIONS = {
    "operations.convolution": _output,
    "operations.convolution_input_gradient": _input_gradient,
    "operations.convolution_weight_gradient": _weight_gradient,
    "operations.affine": _affine,
    "operations.product_transposed": _product_transposed,
    "operations.add_product": _add_product,
    "operations.add_rows": _add_rows,
    "operations.relu": _relu,
    "operations.bce_with_logits": _bce,
    "operations.adam": _adam,
    "operations.max_pool": _pooling,
    "operations.batch_norm": _batch_norm,
    "operations.batch_norm_backward": _batch_norm_backward,
    "operations.nearest_code": _codes,
}
