"""The codebook between encoder and decoder of a VQ-VAE: one, or several that share a vector's work."""

import numpy as np

from ..backend import array_module, as_noise
from ..backend.operations import code_sums
from ..batch import examples
from ..errors import ConfigError, ShapeError
from ..options import RATE, SHARE, Count, Flag, Optional, of_layer
from . import quantize
from .kmeans import kmeans

MOST_BOOKS = 1024  # each is a step of its own in a forward
DEAD = 0.01  # share of the batch that a code gets, over its fair share; below, it is restarted


class Codebook:
    """z (N, ..., D) -> q of the same shape, by `quantize`; to a model it is a layer that keeps a state.

    codes: K. units: D. books: how many codebooks; each vector then has a code in every one. Grouped (default), a book
    quantises its own D / books of a vector's numbers (product quantisation, Jegou et al. 2011); residual, all D
    numbers of what the books before have left, and the codes add up (Zeghidour et al. 2021). cosine: vectors and codes
    count by their direction alone. ema: codes are moving averages of their vectors, moved by `update_state`, instead
    of parameters. restart: a code that hardly a vector chooses is set to a vector of the batch (Dhariwal et al. 2020,
    section 4).

    The weight is (K, D) of one book and (books, K, D / groups) of several: in the parameters, or in the state with ema.
    The state also has "counts" (books, K), moving averages of how many vectors chose a code, and "usage", how many did
    since it was last cleared.
    """

    @of_layer(
        codes=Count(), units=Count(), books=Count(1, MOST_BOOKS), residual=Flag(), ema=Flag(), decay=SHARE,
        cosine=Flag(), restart=Flag(), bound=Optional(RATE),
    )  # fmt: skip
    def __init__(
        self, codes, units, books=1, residual=False, ema=False, decay=0.99, cosine=False, restart=True, bound=None
    ):
        if not residual and units % books:
            raise ConfigError(f"codebooks={books}: vectors of {units} numbers do not divide into {books} groups")
        if residual and cosine:
            raise ConfigError("cosine codes have no length, so they leave no residual: use one of the two")
        self.codes, self.units, self.books, self.residual = codes, units, books, residual
        self.ema, self.decay, self.cosine, self.restart = ema, decay, cosine, restart
        self.bound = bound
        self.width = units if residual else units // books

    def __repr__(self):
        return f"Codebook({', '.join(f'{k}={v!r}' for k, v in vars(self).items() if k != 'width')})"

    @property
    def weight_shape(self):
        return (self.codes, self.width) if self.books == 1 else (self.books, self.codes, self.width)

    def output_shape(self, input_shape):
        if input_shape[-1] != self.units:
            raise ShapeError(f"{self!r}: expected vectors of {self.units} numbers, got {tuple(input_shape)}")
        return tuple(input_shape)

    def param_shapes(self, input_shape):
        self.output_shape(input_shape)
        return {} if self.ema else {"weight": self.weight_shape}

    def state_shapes(self, input_shape):
        counts = {"counts": (self.books, self.codes), "usage": (self.books, self.codes)}
        return counts | ({"weight": self.weight_shape, "sums": self.weight_shape} if self.ema else {})

    def init(self, input_shape, rng, dtype="float32"):
        return {} if self.ema else {"weight": self.draw(rng, dtype)}

    def init_state(self, input_shape, xp=np, dtype="float32"):
        """Counts of 1; with ema, `set_weight` has to follow."""
        state = {name: xp.zeros(shape, dtype=dtype) for name, shape in self.state_shapes(input_shape).items()}
        state["counts"] += 1
        return state

    def draw(self, rng, dtype="float32"):
        """A weight to begin with: uniform within `bound` of 0, by default 1 / K as the paper's code has it."""
        drawn = 2 * as_noise(rng).uniform("weight", self.weight_shape, dtype) - 1
        return drawn / self.codes if self.bound is None else drawn * self.bound

    def set_weight(self, params, state, weight):
        """Begin with this weight, and counts anew."""
        (state if self.ema else params)["weight"][...] = weight.reshape(self.weight_shape)
        state["counts"].fill(1)
        if self.ema:
            state["sums"][...] = state["weight"]

    def weight(self, params, state):
        """Each book's weight (K, D / groups), views."""
        weight = (state if self.ema else params)["weight"]
        if weight.shape != self.weight_shape:
            raise ShapeError(f"{self!r}: expected a weight of shape {self.weight_shape}, got {weight.shape}")
        stacked = weight.reshape(self.books, self.codes, self.width)
        return [stacked[b] for b in range(self.books)]

    def _parts(self, rows):
        """Each book's own numbers of vectors (M, D), where they are grouped."""
        return [rows[:, b * self.width : (b + 1) * self.width] for b in range(self.books)]

    def _joined(self, parts):
        """Vectors (M, D) from each book's part."""
        if self.books == 1:
            return parts[0]
        return sum(parts) if self.residual else array_module(parts[0]).concatenate(parts, axis=1)

    def forward(self, params, z, train=False, rng=None, state=None):
        """-> (q, cache): straight through, so q stands in for z."""
        self.output_shape(z.shape[1:])
        if train:
            examples(z)  # an empty batch moves no code
        left = z.reshape(-1, self.units)
        parts, cache = None if self.residual else self._parts(left), Quantized(z.shape, train)
        for b, book in enumerate(self.weight(params, state)):
            u = left if self.residual else parts[b]
            if self.cosine:
                (u, turned), (book, _) = quantize.unit(u), quantize.unit(book)
                cache.turned.append(turned)
            codes = quantize.nearest(u, book)
            q = quantize.lookup(book, codes)
            left = u - q
            cache.add(codes, q, left)
            cache.vectors.append(u)
            if train and self.restart:
                # A vector for each code, should it be dead: drawn here, where the noise is known.
                drawn = as_noise(rng).uniform(f"restart.{b}", (self.codes,), "float64")
                cache.spare.append(u[(drawn * len(u)).astype("int64")])
        if train:
            cache.counted = self._count(cache)
        return quantize.straight_through(z, self._joined(cache.quantized).reshape(z.shape))[0], cache

    def _count(self, cache):
        """For each book, how many vectors a code has, and their sum."""
        return [code_sums(u, codes, self.codes) for u, codes in zip(cache.vectors, cache.codes, strict=True)]

    def backward(self, params, cache, dy, grads=None):
        """dz = dy, straight through; cosine codes stand for z / |z|, and what is before that has its own gradient."""
        if dy.shape != cache.shape:
            raise ShapeError(f"{self!r}: expected dy of the output's shape {cache.shape}, got {dy.shape}")
        dz = quantize.straight_through_backward(None, dy)  # (N, ..., D), as q stands in for z
        return self._turn_back(cache, self._parts(dz.reshape(-1, self.units))) if self.cosine else dz

    def losses(self, params, cache, batch_size=None):
        """-> (codebook loss, commitment loss, dz of the latter), sums over numbers and means over the batch.

        With ema there is no codebook loss: 0.0. Residual books look at what they are given as it is: d z is the sum of
        their 2 (u - q) / N. Cosine codes e / |e| pass their gradient through `quantize.unit`.
        """
        count = examples(cache, batch_size)
        loss = sum((left * left).sum() for left in cache.left) / count  # (), left = u - q of each book
        parts = [(2 / count) * left for left in cache.left]  # (M, D / groups) each, du, as loss = |u - q|^2 / N
        dz = self._turn_back(cache, parts) if self.cosine else self._joined(parts).reshape(cache.shape)
        return (0.0 if self.ema else loss), loss, dz

    def losses_backward(self, params, cache, grads, batch_size=None):
        """Adds the gradient of the codebook loss into `grads`: 2 (n_k e_k - the sum of the u that chose k) / N."""
        if self.ema:
            return
        count = examples(cache, batch_size)
        into = grads["weight"].reshape(self.books, self.codes, self.width)
        for b, (counts, sums) in enumerate(cache.counted or self._count(cache)):
            into[b] += self._book_gradient(self.weight(params, None)[b], counts, sums, count)

    def _book_gradient(self, book, counts, sums, batch_size):
        if not self.cosine:
            return quantize.codebook_gradient(book, counts, sums, batch_size)
        direction, turned = quantize.unit(book)
        return quantize.unit_backward(turned, quantize.codebook_gradient(direction, counts, sums, batch_size))

    def _turn_back(self, cache, parts):
        """dz (N, ..., D) from the gradients of each group's z / |z|."""
        back = [quantize.unit_backward(turned, dy) for turned, dy in zip(cache.turned, parts, strict=True)]
        return self._joined(back).reshape(cache.shape)

    def update_state(self, state, cache, params=None):
        """After backward and the optimiser's step: counts, the moving averages, and the restart of dead codes.

        params: where the weight is, without ema; a dead code is replaced there (its moments in the optimiser stay).
        """
        if not cache.train:
            return
        weight = self.weight(params, state)
        sums = state["sums"].reshape(self.books, self.codes, self.width) if self.ema else None
        for b, (batch_counts, batch_sums) in enumerate(cache.counted):
            counts = state["counts"][b]
            state["usage"][b] += batch_counts
            if self.ema:
                weight[b][...] = quantize.moving_average(counts, sums[b], batch_counts, batch_sums, self.decay)
            else:
                counts *= self.decay
                counts += (1 - self.decay) * batch_counts
            if self.restart:
                fair = counts.mean()
                dead = counts < DEAD * fair
                xp = array_module(counts)
                weight[b][...] = xp.where(dead[:, None], cache.spare[b], weight[b])
                counts[...] = xp.where(dead, fair, counts)
                if self.ema:
                    sums[b] = xp.where(dead[:, None], fair * cache.spare[b], sums[b])

    def start(self, params, state, z, noise):
        """Begin with the centres of k-means of vectors z (N, ..., D)."""
        left, centres = z.reshape(-1, self.units), []
        for b in range(self.books):
            u = left if self.residual else self._parts(left)[b]
            u = quantize.unit(u)[0] if self.cosine else u
            centres.append(kmeans(u, self.codes, noise.child(str(b))))
            if self.residual:
                left = left - quantize.lookup(centres[b], quantize.nearest(left, centres[b]))
        self.set_weight(params, state, array_module(z).stack(centres))

    def encode(self, params, z, state=None):
        """Codes (N, ...) of vectors z (N, ..., D); with several books (N, ..., books)."""
        cache = self.forward(params, z, state=state)[1]
        codes = array_module(z).stack(cache.codes, axis=-1)
        return codes.reshape(z.shape[:-1] if self.books == 1 else (*z.shape[:-1], self.books))

    def decode(self, params, codes, state=None):
        """The vectors (N, ..., D) that codes stand for: (N, ...), or (N, ..., books)."""
        shape = codes.shape if self.books == 1 else codes.shape[:-1]
        rows = codes.reshape(-1, self.books)
        books = [quantize.unit(book)[0] if self.cosine else book for book in self.weight(params, state)]
        found = [quantize.lookup(book, rows[:, b]) for b, book in enumerate(books)]
        return self._joined(found).reshape(*shape, self.units)


class Quantized:
    """What a forward keeps, each a list by book: codes (M,), the vectors u, quantized and left = u - quantized
    (M, D / groups), `turned`, the caches of `quantize.unit`, and from training `counted`, (counts (K,), sums
    (K, D / groups)) of the vectors by code, and `spare`, a vector for each code. shape: of z.
    """

    def __init__(self, shape, train=False):
        self.shape, self.train, self.codes, self.quantized, self.left = shape, train, [], [], []
        self.vectors, self.counted, self.spare, self.turned = [], [], [], []

    def add(self, codes, quantized, left):
        self.codes.append(codes)
        self.quantized.append(quantized)
        self.left.append(left)


class HeldCodebook(Codebook):
    """A codebook that treats the chosen vectors and the stopped gradients of one point as constants.

    The loss is then differentiable near that point and has the gradients that `Codebook` computes, so a gradient check
    can compare them with finite differences.
    """

    def __init__(self, codebook, z, cache):
        vars(self).update(vars(codebook))
        self.held = cache
        self.offset = self._joined(cache.quantized) - self._seen(z.reshape(-1, self.units))

    def _seen(self, rows):
        """The vectors that are quantised."""
        return self._joined([quantize.unit(part)[0] for part in self._parts(rows)]) if self.cosine else rows

    def forward(self, params, z, train=False, rng=None, state=None):
        rows, cache = z.reshape(-1, self.units), Quantized(z.shape)
        left, parts = rows, None if self.residual else self._parts(self._seen(rows))
        for b, q in enumerate(self.held.quantized):
            left = (left if self.residual else parts[b]) - q
            cache.add(self.held.codes[b], q, left)
        return (self._seen(rows) + self.offset).reshape(z.shape), cache

    def losses(self, params, cache, batch_size=None):
        count, loss = examples(cache, batch_size), 0.0
        for b, book in enumerate(() if self.ema else self.weight(params, None)):
            book = quantize.unit(book)[0] if self.cosine else book
            u = self.held.quantized[b] + self.held.left[b]
            loss = loss + quantize.codebook_loss(u, book, self.held.codes[b], count)[0]
        return loss, sum((left * left).sum() for left in cache.left) / count, None
