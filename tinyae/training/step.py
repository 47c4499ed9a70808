"""One training step: for each phase gradients, in parts on worker threads where that is possible, then the update."""

import numpy as np

from ..backend import memory, operations
from ..errors import CheckpointError
from ..optim import clip_by_global_norm, slices
from ..traits import DENSE
from ..wording import flag
from .workers import cut


class Step:
    """The step of one phase of a run.

        terms = step.gradients(batch, rng)
        step.update()

    phase: by default the model's only one. team: `workers.Workers` or None. A batch is cut into parts (`workers.cut`)
    if there is a team and the loss is a sum over examples; each part adds into gradients of its own, summed in the
    parts' order.
    """

    def __init__(self, model, optimizer, clip_norm=None, team=None, phase=None):
        self.model, self.optimizer, self.clip_norm, self.team = model, optimizer, clip_norm, team
        self.phase = phase or model.phases[0]
        self.store = model.store.subset(self.phase.trains)
        self.each = map if team is None else team.map
        self.buffers = []  # gradients for as many parts as ever were
        self.grads, self.net = [], None  # of the last batch: its parts' gradients, and its first part's context

    def gradients(self, batch, rng):
        """The terms as floats; the gradients are kept for `update`. batch: dict of arrays (N, ...), on the device."""
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
            with np.errstate(all="ignore"):  # whoever asked for the terms looks for what is not finite
                grads.clear()
                terms, net = self.phase.run(self.model, self.model.prepare(rows), noise, grads.tree, batch_size=count)
                grads.settle()
            return {name: float(value) for name, value in terms.items()}, net

        results = list(self.each(run, range(len(parts))))
        self.net = results[0][1]
        return {name: sum(terms[name] for terms, _ in results) for name in results[0][0]}

    def _parts(self, count):
        """[(start, stop)] of the parts of a batch of `count`.

        With the compiled library, dense products are shared out among the threads one by one: that takes one gradient
        in memory and half the calls.
        """
        model = self.model
        shared = model.cut.least >= DENSE and operations.share_products(model.dtype)
        cuts = self.team is not None and model.separable and not shared
        return cut(count, model.cut.least) if cuts else [(0, count)]

    def update(self):
        """Clip, move the parameters, and then what is kept but not trained."""
        if self.clip_norm is not None:
            self._sum()
            clip_by_global_norm(self.grads[0].flat, self.clip_norm)
        self.optimizer.step(self.store, *self.grads, each=self.each)
        self.model.after_update(self.phase, self.net)

    def _sum(self):
        """Sum the parts' gradients into the first, which is then all of them."""
        total, *others = (grads.flat for grads in self.grads)

        def add(part):
            for other in others:
                total[part] += other[part]

        list(self.each(add, slices(total)))
        del self.grads[1:]


def check_memory(model, optimizers, examples):
    """ConfigError, before anything is allocated, for a training that memory cannot hold.

    It is measured from below: parameters with their gradient and moments, and half of what the layers put out for the
    fewest examples that a step computes at once, since some layers keep their result for the next one's input.
    """
    copies = 2 + max(len(optimizer.moments) for optimizer in optimizers)
    examples = min(examples, model.cut.least) if model.separable else examples
    numbers = copies * model.store.flat.size + examples * model.values // 2
    smaller = f"give smaller sizes, or a smaller {flag('batch_size')}"
    memory.require(numbers, model.dtype.itemsize, f"training {model.name} on {examples:,} examples at once", smaller)


class Optimizers:
    """An optimiser for each phase; to a checkpoint they are one.

    make(phase): a new optimiser.
    """

    def __init__(self, phases, make):
        self.phases, self.each = phases, [make(phase) for phase in phases]

    def rate(self):
        """The learning rate of the first phase's coming step."""
        return self.each[0].rate()

    def state(self):
        """The moments, their names "PHASE.MOMENT", or "MOMENT" where there is but one phase."""
        states = {}
        for phase, optimizer in zip(self.phases, self.each, strict=True):
            states |= {f"{phase.prefix}{name}": array for name, array in optimizer.arrays.items()}
        return states

    def load_state(self, state, store):
        """Take up the moments after `state["steps"]` training steps again; `store` has the model's parameters.

        Raises CheckpointError where they are not those of these optimisers and parameters.
        """
        for phase, optimizer in zip(self.phases, self.each, strict=True):
            own = {n.removeprefix(phase.prefix): a for n, a in state.items() if n.startswith(phase.prefix)}
            moved = store.subset(phase.trains).flat
            for name, array in own.items():
                if name in optimizer.moments and (array.shape, array.dtype) != (moved.shape, moved.dtype):
                    raise CheckpointError(
                        f"moment {phase.prefix}{name} is {array.dtype} {array.shape}, its parameters are {moved.dtype} "
                        f"{moved.shape}: resume with the model it was trained with"
                    )
            optimizer.load_state(own | {"steps": phase.updates(state["steps"])}, store.xp)
