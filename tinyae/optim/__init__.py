"""Optimisers over the flat buffer of parameters, learning-rate schedules, and clipping."""

from .clipping import clip_by_global_norm, global_norm
from .optimizers import OPTIMIZERS, SGD, Adam, AdamW, KerasAdam, Optimizer, RMSprop, slices
from .schedules import SCHEDULES, constant, cosine, schedule, step_decay, warm_up

__all__ = [
    "OPTIMIZERS", "SCHEDULES", "SGD", "Adam", "AdamW", "KerasAdam", "Optimizer", "RMSprop", "clip_by_global_norm",
    "constant", "cosine", "global_norm", "schedule", "slices", "step_decay", "warm_up",
]  # fmt: skip
