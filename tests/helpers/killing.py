"""A training that dies within a step, as by kill -9: nothing more is saved."""

from tinyae.training import progress


class Killed(Exception):
    pass


class KilledAt(progress.Silent):
    """A display that ends the training when so many steps are done."""

    def __init__(self, steps):
        self.left = steps

    def step(self, images, terms):
        self.left -= 1
        if self.left == 0:
            raise Killed
