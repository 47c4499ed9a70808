"""The phases of a training step, and the context of a step: all that its lines need besides their data."""

from ..errors import ConfigError


class Network:
    """One network inside one step: a layer together with its parameters, state and gradients.

    Attributes: `name`, `layer`, `params`, `state`, and `grads`, a nested dict that gradients are added into. `grads` is
    None where the phase does not train this network: it is frozen, and still passes gradients on.
    """

    __slots__ = ("name", "layer", "params", "state", "grads", "net")

    def __init__(self, name, layer, params, state, grads, net):
        self.name, self.layer, self.params, self.state, self.grads, self.net = name, layer, params, state, grads, net

    def forward(self, x, call=None):
        """-> (y, cache), in the step's mode. `call` names a call, where one step calls the same network several times.

        The caches of a network with a state are kept: its running statistics move after the update.
        """
        net = self.net
        noise = net.noise if call is None else net.noise.child(call)
        child = None if noise is None else noise.child(self.name)
        y, cache = self.layer.forward(self.params, x, net.training, child, self.state)
        if self.name in net.stateful:
            net.caches.setdefault(self.name, []).append(cache)
        return y, cache

    def apply(self, x):
        """-> y in evaluation mode, whatever the step's mode is: no dropout, running statistics, no cache."""
        return self.layer.forward(self.params, x, False, None, self.state)[0]

    def backward(self, cache, dy):
        """-> dx. Adds the gradients of the parameters, too, unless this network is frozen in this phase."""
        self.net.check_version()
        return self.layer.backward(self.params, cache, dy, self.grads)

    def add_grads(self, cache, dy):
        """Adds the gradients of the parameters without computing dx: for a network whose input is data."""
        self.net.check_version()
        if self.grads is None:
            raise ConfigError(f"'{self.name}' is frozen in this phase: use backward in place of add_grads")
        self.layer.add_grads(self.params, cache, dy, self.grads)

    def update_state(self):
        """Moves the running statistics by each forward of this step, in order."""
        for cache in self.net.caches.get(self.name, ()):
            self.layer.update_state(self.state, cache)


class Context:
    """What `net` holds in `step(net, x)`. One context serves one phase of one step, and one thread.

    net.NAME         the networks by name, each a `Network`: forward, apply, backward, add_grads
    net.training     the mode: True uses dropout and batch statistics, False running statistics
    net.needs_grads  whether the backward lines run; a finite difference wants the training mode without them
    net.count        what a mean over the batch divides by: N, or the size of the whole batch if this is a part of it
    net.noise        the noise of this (seed, step, phase); `net.normal` and `net.uniform` draw from it by name
    net.caches       the caches of the forwards of each network that has a state, which moves after the update
    """

    def __init__(self, model, noise, training, grads, count):
        self.noise, self.training, self.needs_grads, self.count = noise, training, grads is not None, count
        self.dtype, self.store, self.stateful, self.caches = model.dtype, model.store, model.stateful, {}
        self.version = model.store.version
        grads, params, state = grads or {}, model.store.tree, model.state.tree
        for name, layer in model.networks.items():
            self.__dict__[name] = Network(name, layer, params[name], state[name], grads.get(name), self)

    def normal(self, name, like):
        """Standard normal noise, of the shape and dtype of an array `like`, or of a shape (a tuple)."""
        shape, dtype = (like, self.dtype) if isinstance(like, tuple) else (like.shape, like.dtype)
        return self.noise.normal(name, shape, dtype)

    def uniform(self, name, shape):
        """Uniform noise on (0, 1) of a shape."""
        return self.noise.uniform(name, shape, self.dtype)

    def check_version(self):
        """StaleParamsError if an optimiser has changed the parameters since this context was made."""
        self.store.check_version(self.version)


RESERVED = {"noise", "training", "needs_grads", "count", "dtype", "store", "stateful", "caches", "version", "normal",
            "uniform", "check_version"}  # fmt: skip


def check_names(model_name, networks):
    """Refuses the name of a network that the context uses itself."""
    for name in networks:
        if name in RESERVED:
            raise ConfigError(f"{model_name}: a network cannot be called '{name}', the step's context uses that name")


class Phase:
    """A part of a training step that ends with an update of its own.

    Parameters
    ----------
    name: "" for a model of one phase.
    step: a function like `Model.step`, which returns the terms of this phase.
    trains: the networks that it updates, neighbours in the model's order. All others are frozen and pass gradients on.
    rate: the factor of the learning rate.
    every: k for a phase that runs in each k-th step, the first step included.
    objective: the term that it minimises.
    momentum: beta1 of its Adam, and the momentum of its SGD.
    scale: the factor of the optimiser's epsilon.
    """

    def __init__(self, name, step, trains, rate=1.0, every=1, objective="loss", momentum=0.9, scale=1):
        self.name, self.step, self.trains, self.rate, self.every = name, step, tuple(trains), rate, every
        self.objective, self.momentum, self.scale = objective, momentum, scale

    def run(self, model, batch, rng, grads=None, train=True, batch_size=None):
        """-> (terms, the step's `Context`); adds gradients into `grads`, a nested dict, where given.

        batch: as `Model.prepare` gives it. rng: the noise of this (seed, step), of which the phase takes its own part.
        batch_size: what the mean divides by where the rows are a part of a larger batch.
        """
        rng = rng.child(self.name) if self.name else rng
        net = Context(model, rng, train, grads, batch_size or len(batch["x"]))
        return self.step(net, **model.arguments(batch)), net

    @property
    def prefix(self):
        """What the names of this phase's moments begin with."""
        return f"{self.name}." if self.name else ""

    def updates(self, steps):
        """How many updates it has had after so many steps."""
        return -(-steps // self.every)
