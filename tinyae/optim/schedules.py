"""Learning-rate schedules: functions of the training step, counted from 0."""

import math
from functools import partial

from ..options import RATE, WEIGHT, Choice, Count, Either, Function, options

LR = Either(WEIGHT, Function())  # a number, or a schedule

# A schedule is a partial function of a module's function: those within functions cannot be pickled.


def _constant(lr, step):
    return lr


def _step_decay(lr, every, factor, step):
    return lr * factor ** (step // every)


def _cosine(lr, total, floor, step):
    return floor + 0.5 * (lr - floor) * (1 + math.cos(math.pi * min(step / total, 1)))


def _warm_up(after, steps, step):
    return after(step) * min((step + 1) / steps, 1) if steps else after(step)


@options(lr=WEIGHT)
def constant(lr):
    """A learning rate that stays.

        rate(t) = lr

    Parameters
    ----------
    lr : float
        The learning rate.

    Returns
    -------
    schedule : function of the step, counted from 0
        The learning rate.

    Example
    -------
    >>> constant(0.1)(7)
    0.1
    """
    return partial(_constant, lr)


@options(lr=WEIGHT, every=Count(1, None), factor=WEIGHT)
def step_decay(lr, every, factor=0.1):
    """A learning rate that falls in steps.

        rate(t) = lr factor^(t // every)

    Parameters
    ----------
    lr : float
        The initial learning rate.
    every : int
        Training steps between the falls.
    factor : float, default 0.1
        What each fall multiplies by.

    Returns
    -------
    schedule : function of the step, counted from 0
        The learning rate.

    Example
    -------
    >>> step_decay(1.0, 10, 0.5)(25)
    0.25
    """
    return partial(_step_decay, lr, every, factor)


@options(lr=WEIGHT, total=RATE, floor=WEIGHT)
def cosine(lr, total, floor=0.0):
    """A learning rate that falls along half a cosine (Loshchilov & Hutter 2017, equation 5).

        rate(t) = floor + (lr - floor) (1 + cos(pi t / total)) / 2

    Parameters
    ----------
    lr : float
        The initial learning rate.
    total : int
        Training steps of the fall.
    floor : float, default 0
        The final learning rate.

    Returns
    -------
    schedule : function of the step, counted from 0
        The learning rate.

    Example
    -------
    >>> cosine(1.0, 10)(5)
    0.5
    """
    return partial(_cosine, lr, total, floor)


@options(schedule=LR, steps=Count(0, None))
def warm_up(schedule, steps):
    """A linear rise to another schedule.

        rate(t) = schedule(t) (t + 1) / steps for t < steps, then schedule(t)

    Parameters
    ----------
    schedule : float or function of the step
        The learning rate after the rise.
    steps : int
        Training steps of the rise.

    Returns
    -------
    schedule : function of the step, counted from 0
        The learning rate.

    Example
    -------
    >>> warm_up(1.0, 4)(0)
    0.25
    """
    return partial(_warm_up, schedule if callable(schedule) else constant(schedule), steps)


SCHEDULES = ("constant", "step", "cosine")


@options(name=Choice(SCHEDULES, "schedule"), total=WEIGHT, warmup=Count(0, None))
def schedule(name, lr, total, warmup=0):
    """A schedule by its name.

        "constant": lr;   "step": a tenth after each third;   "cosine": to 0 along half a cosine

    Parameters
    ----------
    name : str
        "constant", "step" or "cosine".
    lr : float
        The initial learning rate.
    total : int
        Training steps in all.
    warmup : int, default 0
        Training steps of a linear rise.

    Returns
    -------
    schedule : float or function of the step
        The learning rate.

    Example
    -------
    >>> schedule("cosine", 1.0, 10)(5)
    0.5
    """
    make = {
        "constant": lambda: constant(lr),
        "step": lambda: step_decay(lr, max(1, math.ceil(total / 3))),
        "cosine": lambda: cosine(lr, max(1, total)),
    }
    return warm_up(make[name](), warmup)
