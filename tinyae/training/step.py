"""One training step: gradients of a mini-batch, computed in parts on worker threads if possible, and the update."""

import numpy as np

from ..backend import memory, operations
from ..errors import CheckpointError
from ..optim import clip_by_global_norm, slices
from ..traits import DENSE
from ..wording import flag
from .workers import cut


class Step:
    """The training step of one phase of a model.

        terms = step.gradients(batch, rng)
        step.update()

    phase: by default the model's only phase. team: `workers.Workers` or None. A batch is cut into parts
    (`workers.cut`) if there is a team and the loss is a sum over examples. Each part has its own gradients, which are
    summed in the order of the parts.
    """

    def __init__(self, model, optimizer, clip_norm=None, team=None, phase=None):
        self.model, self.optimizer, self.clip_norm, self.team = model, optimizer, clip_norm, team
        self.phase = phase or model.phases[0]
        self.store = model.store.subset(self.phase.trains)
        self.each = map if team is None else team.map
        self.buffers = []  # a gradient for each part, allocated when first needed
        self.grads, self.net = [], None  # the gradients of the last batch's parts, and the context of its first part

    def gradients(self, batch, rng):
        """Compute the terms, returned as floats, and the gradients for `update`. batch: {name: array (N, ...)}."""
        count = len(batch["x"])
        parts = self._parts(count)
        while len(self.buffers) < len(parts):
            self.buffers.append(self.store.like())
        self.grads = self.buffers[: len(parts)]

        def run(i):
            start, stop = parts[i]
            grads = self.grads[i]
            rows = {name: array[start:stop] for name, array in batch.items()}
            noise = rng if len(parts) == 1 else rng.rows(start, stop, count)
            with np.errstate(all="ignore"):  # the caller checks that the terms are finite
                grads.clear()
                terms, net = self.phase.run(self.model, self.model.prepare(rows), noise, grads.tree, batch_size=count)
                grads.settle()
            return {name: float(value) for name, value in terms.items()}, net

        results = list(self.each(run, range(len(parts))))
        self.net = results[0][1]
        return {name: sum(terms[name] for terms, _ in results) for name in results[0][0]}

    def _parts(self, count):
        """[(start, stop)] of the parts of a batch of `count` examples.

        With the compiled library, the threads share each dense product instead, which needs memory for one gradient
        and half the calls.
        """
        model = self.model
        shared = model.cut.least >= DENSE and operations.share_products(model.dtype)
        cuts = self.team is not None and model.separable and not shared
        return cut(count, model.cut.least) if cuts else [(0, count)]

    def update(self):
        """Clip the gradient, update the parameters, and then the state that is not trained."""
        if self.clip_norm is not None:
            self._sum()
            clip_by_global_norm(self.grads[0].flat, self.clip_norm)
        self.optimizer.step(self.store, *self.grads, each=self.each)
        self.model.after_update(self.phase, self.net)

    def _sum(self):
        """Sum the gradients of all parts into the first."""
        total, *others = (grads.flat for grads in self.grads)

        def add(part):
            for other in others:
                total[part] += other[part]

        list(self.each(add, slices(total)))
        del self.grads[1:]


def check_memory(model, optimizers, examples):
    """Raise ConfigError, before anything is allocated, if the memory is too small to train a model.

    The requirement is a lower bound: parameters with their gradient and moments, and half of the layers' outputs for
    the smallest number of examples computed at once, since the output of some layers is the next layer's cached input.
    """
    copies = 2 + max(len(optimizer.moments) for optimizer in optimizers)
    examples = min(examples, model.cut.least) if model.separable else examples
    numbers = copies * model.store.flat.size + examples * model.values // 2
    smaller = f"give smaller sizes, or a smaller {flag('batch_size')}"
    memory.require(numbers, model.dtype.itemsize, f"training {model.name} on {examples:,} examples at once", smaller)


class Optimizers:
    """One optimiser for each phase of a model; a checkpoint stores them together.

    make: a function that makes the optimiser of a phase.
    """

    def __init__(self, phases, make):
        self.phases, self.each = phases, [make(phase) for phase in phases]

    def rate(self):
        """The learning rate of the next step of the first phase."""
        return self.each[0].rate()

    def state(self):
        """{name: array} of the moments, named "PHASE.MOMENT", or "MOMENT" if the model has only one phase."""
        states = {}
        for phase, optimizer in zip(self.phases, self.each, strict=True):
            states |= {f"{phase.prefix}{name}": array for name, array in optimizer.arrays.items()}
        return states

    def load_state(self, state, store):
        """Restore the moments after `state["steps"]` training steps. store: the model's parameters.

        Raises CheckpointError if the moments do not fit these optimisers and parameters.
        """
        for phase, optimizer in zip(self.phases, self.each, strict=True):
            own = {n.removeprefix(phase.prefix): a for n, a in state.items() if n.startswith(phase.prefix)}
            moved = store.subset(phase.trains).flat
            for name, array in own.items():
                if name in optimizer.moments and (array.shape, array.dtype) != (moved.shape, moved.dtype):
                    raise CheckpointError(
                        f"moment {phase.prefix}{name} is {array.dtype} {array.shape}, its parameters are {moved.dtype} "
                        f"{moved.shape}: resume with the model of that run"
                    )
            optimizer.load_state(own | {"steps": phase.updates(state["steps"])}, store.xp)
