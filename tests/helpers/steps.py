"""Steps of models that tests meddle with."""

from tinyae.models.context import Network


def run(model, batch, rng, grads=None, **options):
    """(terms, the step's context) of a model's only phase."""
    (phase,) = model.phases
    return phase.run(model, batch, rng, grads, **options)


def changed(net, name, **methods):
    """Replaces methods of the network `name` in one step's context."""
    getattr(net, name).__class__ = type("Changed", (Network,), {"__slots__": (), **methods})


def times(factor):
    """A `Network.backward` of `factor` times the gradient that it is given."""
    return lambda network, cache, dy: Network.backward(network, cache, factor(network) * dy)


def move_parameters(monkeypatch):
    """From now on each forward of a network counts as an update of the parameters."""
    forward = Network.forward

    def moving(network, *arguments):
        network.net.store.version += 1
        return forward(network, *arguments)

    monkeypatch.setattr(Network, "forward", moving)
