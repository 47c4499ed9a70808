"""What every model shares: parameters, batches in, arrays out, saving.

A model's own file has its networks and its training step, written out: forward lines, then backward lines in reverse.
"""

import math
from types import NoneType

import numpy as np

from ..backend import Backend, memory
from ..checkpoint.classes import CLASSES
from ..data import examples, to_float
from ..data.examples import as_array, bounds, check_dtype, shaped
from ..data.standardization import Standardization
from ..declared import document
from ..errors import ConfigError, ShapeError, suggest
from ..layers import Sequential
from ..layers.config import is_tinyaes
from ..networks.autoencoder import begin_as
from ..networks.own import fitting
from ..options import Count, Dtype, Flag, Path, options, shown
from ..params import ParamStore, walk
from ..traits import Best, Floats, NoPrior, Parts, Vector
from .context import Phase, check_names

# Where there is no gradient to keep, a forward takes so many examples at most, so that memory stays bounded.
CHUNK, CHUNK_VALUES = 1024, 2**24  # examples; numbers in all layers' outputs


class Model:
    """A system of networks over one ParamStore.

    A subclass calls `build(networks, ...)` in __init__ and writes `step(net, x)`, whose lines see their networks, noise
    and mode through the context `net` (`tinyae.models.context`). Images are (N, H, W, C) in [0, 1] (uint8 is
    scaled), or (N, D) for a flat `input_shape`.

    What a model declares, in its class or in its constructor (objects of `tinyae.traits`):

    name         the command line's name for it
    input_shape  the shape of an example, without the batch axis
    input        what examples are: `Floats` or `Integers`
    labels       None, or the `Labels` of a batch
    terms        the names of the loss and its parts, in the order to print
    unit         the unit of the loss and its terms
    code         what the code of an example is: `Vector`, `IntegerMap` or `NoCode`
    latent_dim   D, the dimension of a code that is a vector
    prior        the distribution of codes that `sample` decodes: `NoPrior`, `StandardNormal`, `ClassMeans`, ...
    density      whether log p(x) has a bound: `infer`, `log_prior`, `log_likelihood`
    selection    which epoch of a training is the best: `Best` or `Last`
    cut          how threads may share a batch: `Parts` or `Whole`
    monitors     names in `training.monitors.MONITORS`, subclasses of `Monitor`, or `Monitored`
    pictures     further pictures of a run: "restorations" (`demonstration`), "clusters" (`cluster`), "features"
    sources      {name: Source}, the published implementations that the option `source` takes
    codec        None, or the VQVAE whose codes are the examples of an autoregressive model

    What it has once it is built: `config` (all arguments, JSON-ready), `networks`, `store` (parameters), `state` (kept
    but not trained), `backend`, `dtype`, `chunk` (examples per forward where there is no gradient to keep),
    `standardization` (None, or what `standardize` learned), `trained_on` (None, or what `data.examples.seen` keeps of
    the training data), `class_names` (None, or the names of the labels that it was trained on).
    """

    name = input_shape = labels = latent_dim = codec = None
    input, code, prior, selection, cut = Floats(), Vector(), NoPrior(), Best(), Parts()
    terms, unit, density, monitors, pictures, sources = ("loss",), "nats", False, (), (), {}
    standardization = trained_on = class_names = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        CLASSES.append(cls)
        if cls.name is None and not is_tinyaes(cls):
            cls.name = cls.__name__  # the name of a user's own model in messages and checkpoints
        document(cls)

    def build(self, networks, config=None, seed=0, backend="numpy", dtype="float32", init=None):
        """Make parameters and state of the networks, {name: (layer, input shape)}.

        config: the arguments that make this model again, JSON-ready; None where the constructor is `declared`, which
        keeps these, seed, backend and dtype. init: how weights begin (`networks.begin_as`), if not as `config` has it.
        """
        if self.input_shape is None:
            raise ConfigError(f"{self.name} has no input_shape: set self.input_shape = (28, 28, 1), say, before build")
        if config is None:
            if "unsaved" not in vars(self):
                raise ConfigError(f"{self.name}: give `build` the constructor's arguments, or decorate it by declared")
            config, init = self.config, init or self.config.get("init")
            seed, backend, dtype = vars(self).pop("unsaved").values()
        self.config = config
        self.backend = backend if isinstance(backend, Backend) else Backend(backend)
        self.dtype = np.dtype(Dtype().check("dtype", dtype))
        self.networks = {name: layer for name, (layer, _) in networks.items()}
        for name, layer in self.networks.items():
            if name not in config:  # an own network's layers say themselves how their weights begin
                begin_as(layer, init or "own")
        self.room_for(sum(_values(*pair) for pair in networks.values()))
        self.chunk = max(1, min(CHUNK, CHUNK_VALUES // self.values))
        params = {name: net.param_shapes(shape) for name, (net, shape) in networks.items()}
        state = {name: net.state_shapes(shape) for name, (net, shape) in networks.items()}
        count = sum(math.prod(shape) for tree in (params, state) for _, shape in walk(tree))
        # Twice: the initial values, and the buffer that they are copied into.
        memory.require(2 * count, self.dtype.itemsize, f"{self.name} of {count:,} parameters", "give smaller sizes")
        self.stateful = {name for name, tree in state.items() if any(True for _ in walk(tree))}
        check_names(self.name, self.networks)
        xp = self.backend.xp
        self.store, self.state = ParamStore(params, xp, dtype), ParamStore(state, xp, dtype)
        noise = self.backend.noise(seed).child("init")
        self.store.fill({name: net.init(shape, noise.child(name), dtype) for name, (net, shape) in networks.items()})
        self.state.fill({name: net.init_state(shape, xp, dtype) for name, (net, shape) in networks.items()})

    def fitting(self, name, layer, takes, gives):
        """A user's own layer for the network `name`, checked to turn shape `takes` into `gives` (`own.fitting`)."""
        return fitting(self.name, name, layer, takes, gives)

    def room_for(self, values):
        """Keep how many numbers the layers put out for one example; ConfigError if they do not fit into memory."""
        memory.require(values, self.dtype.itemsize, f"{self.name}: one example in all layers", "give smaller sizes")
        self.values = values

    def draw(self, n, seed):
        """(n, the noise of the seed) for n new examples; ConfigError if n is no count, or memory cannot hold them."""
        n = Count(1, None).check("n", n)
        numbers = 2 * n * math.prod(self.input_shape)  # in chunks, then joined
        memory.require(numbers, self.dtype.itemsize, f"{n:,} examples", "draw fewer at a time")
        return n, self.backend.noise(seed)

    def __repr__(self):
        own = {name: self.networks.get(name, value) for name, value in self.config.items() if isinstance(value, dict)}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in (self.config | own).items())})"

    @property
    def param_count(self):
        """Number of trained parameters."""
        return self.store.flat.size

    @property
    def separable(self):
        """Whether a batch's loss is the sum of its examples' losses, so that a step may run in parts."""
        return not self.cut.whole and (self.cut.constant_state or not self.stateful)

    def named_parameters(self):
        """{"encoder.1.weight": array, ...}: views of the parameters, in the buffer's order."""
        return dict(self.store.named)

    @property
    def phases(self):
        """The phases of a training step, in their order: by default one, `step`."""
        return [Phase("", self.step, self.networks, scale=self.loss_scale)]

    @property
    def published(self):
        """The Source that the option `source` names, or None."""
        name = self.config.get("source")
        return self.sources[name] if name in self.sources else None

    @property
    def loss_scale(self):
        """How many times larger our loss is than the source's.

        Adam and RMSprop divide by the root of squared gradients plus epsilon. If the loss and epsilon are multiplied by
        the same factor, it cancels, and the updates equal the source's.
        """
        mean = self.published is not None and self.published.mean
        return math.prod(self.input_shape) if mean else 1

    def step(self, net, x):
        """-> terms, {name: 0-d array}: the loss and its parts, for x (N, *input_shape) on the device.

        Forward lines first. Then, if `net.needs_grads`, the backward lines in reverse order, which add the gradients.
        net: the `Context`. A model that uses labels is given them, too: `step(net, x, labels)`.
        """
        raise NotImplementedError

    def loss_and_grads(self, batch, noise=None, seed=0, step=0):
        """The terms (dict of scalars, "loss" among them) and the gradients (dict by the names of `named_parameters()`).

        batch: {"x": (N, ...)}, and "labels" where a model needs them. noise: arrays by name ("z": (N, latent_dim)) that
        replace the draws of (seed, step). A model of several phases has gradients by phase, {phase: {name: array}}, all
        at the present parameters, and puts the phase's name before the name of its noise.
        """
        terms, grads, given, batch = {}, {}, self._given(noise), self.admit_batch(batch)
        for phase in self.phases:
            own = self.store.subset(phase.trains).like()
            terms |= self.phase_terms(phase, batch, given, seed, step, grads=own.tree)
            grads[phase.name] = own.named
        given.check_asked(self)
        return terms, grads.get("", grads)

    @options(train=Flag())
    def loss(self, batch, noise=None, seed=0, step=0, train=False):
        """The terms alone, in evaluation mode unless `train`."""
        terms, given, batch = {}, self._given(noise), self.admit_batch(batch)
        for phase in self.phases:
            terms |= self.phase_terms(phase, batch, given, seed, step, train)
        given.check_asked(self)
        return terms

    def phase_terms(self, phase, batch, given, seed, step, train=True, grads=None):
        """The terms of one phase, which adds its gradients into `grads`. given: None, or noise by name."""
        return phase.run(self, self.prepare(batch), self.backend.noise(seed, step, given), grads, train)[0]

    def arguments(self, batch):
        """The arguments of `step` besides `net`, of a prepared batch: x, and the labels where the model uses them."""
        return {"x": batch["x"]} | ({"labels": batch.get("labels")} if self.labels else {})

    def _given(self, noise):
        if not isinstance(noise, (dict, NoneType)):
            raise ConfigError(f"{self.name}: noise is a dict of arrays by name, got {shown(noise)}")
        arrays = {name: as_array(value, f"noise of {name}") for name, value in (noise or {}).items()}
        return _Given({name: self.backend.asarray(value, self.dtype) for name, value in arrays.items()})

    def evaluate(self, batches, count, noise):
        """The terms in evaluation mode, averaged over the `count` examples of all batches, as floats.

        noise: a function of a batch's number. A model whose loss couples examples, and not through running statistics,
        overrides this: here the batches' losses are summed.
        """
        sums = {}
        for index, batch in enumerate(batches):
            terms, prepared = {}, self.prepare(batch)
            for phase in self.phases:
                terms |= phase.run(self, prepared, noise(index), train=False, batch_size=count)[0]
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        return sums

    @classmethod
    def examples(cls):
        """Small models, every option among them, on which gradients are checked."""
        raise NotImplementedError

    def example_batch(self, noise, n):
        """A drawn batch of n examples in [0, 1] that `step` takes, for gradient checks."""
        return {"x": noise.uniform("x", (n, *self.input_shape), self.dtype)}

    def frozen(self, batch, seed, step):
        """{name: layer} of the networks to put in place of the model's own in finite differences.

        A model whose gradients do not pass everything, as with a straight-through estimator, gives layers that keep the
        rest constant, as it is at the present parameters.
        """
        return {}

    @property
    def begin_on(self):
        """How many examples `begin` is given at most."""
        return self.chunk

    def begin(self, batch, noise):
        """Called once before training, with a batch of the training data: for what starts from data."""

    def after_update(self, phase, net):
        """Moves the running statistics of the networks that a phase trains, after the optimiser's step."""
        for name in phase.trains:
            getattr(net, name).update_state()

    def admit(self, x):
        """x (N, ...) from outside as an array whose shape, dtype and values suit this model.

        x: what `data.examples.as_array` takes. Everything that a user gives passes here once, and inside the package
        `prepare` looks at shapes alone. Raises `DataError` and `ShapeError`.
        """
        return examples.admit(self, x, self.trained_on)

    def admit_batch(self, batch):
        """A batch from outside, {"x": (N, ...), ...}, as arrays that suit this model."""
        self._check_names(batch)
        return batch | {"x": self.admit(batch["x"])}

    def _check_names(self, batch):
        if not isinstance(batch, dict) or "x" not in batch:
            given = sorted(batch) if isinstance(batch, dict) else type(batch).__name__
            raise ConfigError(f"{self.name}: a batch is a dict with 'x', got {given}")

    def prepare(self, batch):
        """The batch on this model's device: x scaled to [0, 1] if uint8, of `input_shape`; the rest as it is."""
        self._check_names(batch)
        return {
            name: self._inputs(value) if name == "x" else self.backend.asarray(value) for name, value in batch.items()
        }

    def _inputs(self, x):
        x = shaped(self.backend.asarray(x), self.input_shape, self.name)
        check_dtype(x, self.name)
        return to_float(x if self.standardization is None else self.standardization.apply(x), self.dtype)

    def _outputs(self, y):
        return y if self.standardization is None else self.standardization.undo(y)

    def standardize(self, x):
        """Learn mean and standard deviation of each column of rows x (N, D), and from now on train on, encode and judge
        standardised columns; what is decoded comes back in the data's own units, in float64. Part of a checkpoint.
        """
        if len(self.input_shape) != 1:
            raise ConfigError(f"standardize is for rows (N, D): {self.name} takes images of shape {self.input_shape}")
        x = shaped(as_array(x), self.input_shape, self.name)
        check_dtype(x, self.name)
        if not len(x):
            raise ShapeError(f"{self.name}: no examples (x has shape {x.shape})")
        bounds(x)
        self.standardization = Standardization.of(x, self.backend)

    def apply(self, name, x):
        """-> y of the network `name` at the current parameters, in evaluation mode, without a cache."""
        return self.networks[name].forward(self.store.tree[name], x, False, None, self.state.tree[name])[0]

    def in_chunks(self, function, x, *others, size=None):
        """function over rows of `x`, and of `others` of the same length, in bounded memory; a NumPy array.

        size: rows at a time, by default `chunk`.
        """
        size = size or self.chunk
        if len(x) == 0:
            raise ShapeError(f"{self.name}: no examples (x has shape {x.shape})")
        parts = [slice(i, i + size) for i in range(0, len(x), size)]
        return np.concatenate(
            [self.backend.to_host(function(x[rows], *(other[rows] for other in others))) for rows in parts]
        )

    def label_arguments(self, labels):
        """The further arguments of `encode` and `decode`: {"labels": labels} if the networks take labels, else {}."""
        return {"labels": labels} if self.labels and self.labels.networks else {}

    def encode(self, x):
        """Codes (N, latent_dim) of x, as a NumPy array."""
        return self.in_chunks(lambda part: self._encode(self._inputs(part)), self.admit(x))

    def decode(self, z):
        """Images (N, *input_shape) of codes z (N, latent_dim), as a NumPy array."""
        z = self.code.admit(self, z)
        return self.in_chunks(lambda part: self._outputs(self._decode(self.backend.asarray(part, self.dtype))), z)

    def reconstruct(self, x):
        """decode(encode(x)): (N, *input_shape), as a NumPy array."""
        x = self.admit(x)
        return self.in_chunks(lambda part: self._outputs(self._decode(self._encode(self._inputs(part)))), x)

    def sample(self, n, seed=0):
        """n images decoded from samples of the prior, as a NumPy array."""
        raise ConfigError(f"{self.name} has no prior to sample from: use a variational model such as 'vae'")

    @options(path=Path())
    def save(self, path):
        """Write parameters, state and configuration to one .npz, whole or not at all."""
        from ..checkpoint import files as checkpoint

        checkpoint.write(path, self)


def _values(layer, shape):
    """How many numbers a network's layers put out for one example: about what its cache holds."""
    if not isinstance(layer, Sequential):
        return math.prod(layer.output_shape(shape))
    total = 0
    for inner in layer.layers:
        total += _values(inner, shape)
        shape = inner.output_shape(shape)
    return total


class _Given(dict):
    """Noise given by name; remembers which names were asked for, so that a misspelt one is noticed."""

    def __init__(self, arrays):
        super().__init__(arrays)
        self.asked = set()

    def get(self, name):
        self.asked.add(name)
        return super().get(name)

    def check_asked(self, model):
        """Raise ConfigError for a name that nobody asked for."""
        for name in self:
            if name not in self.asked:
                raise suggest(f"noise of {model.name}", name, sorted(self.asked))
