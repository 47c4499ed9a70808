"""Live progress: a bar where there is a terminal and tqdm (extra viz), else plain lines."""

import sys
import time


def make(wanted, total_steps):
    """The progress display of a run of so many steps.

    wanted: True, False, a text to begin with once the run is sure to begin, or a display of one's own.
    """
    if wanted is False:
        return Silent()
    if not isinstance(wanted, (bool, str)):
        return wanted
    opening = wanted if isinstance(wanted, str) else None
    if sys.stderr is not None and sys.stderr.isatty():
        try:
            return Bar(total_steps, opening)
        except ImportError:
            pass
    return Lines(total_steps, opening)


class Silent:
    """Shows nothing; the base of the others."""

    def skip(self, steps):
        """The run begins; so many steps were done before."""

    def step(self, images, terms):
        """A step is done: how many images it took, and its terms as floats."""

    def epoch(self, record):
        """An epoch is done: its record, as in metrics.jsonl."""

    def message(self, text):
        """One line that must not be lost."""

    def close(self):
        """No more to come."""


class Lines(Silent):
    """A line after each epoch, and one every ten seconds within a long one."""

    PAUSE = 10

    def __init__(self, total_steps, opening=None):
        self.total, self.done, self.opening = total_steps, 0, opening
        self.rate = Rate()
        self.spoken = time.monotonic()

    def skip(self, steps):
        _begin(self, steps)
        self.done += steps

    def step(self, images, terms):
        self.done += 1
        self.rate.add(images)
        if time.monotonic() - self.spoken > self.PAUSE:
            self._say(f"step {self.done}/{self.total}  {_terms(terms)}")

    def epoch(self, record):
        self._say(_epoch(record))

    def message(self, text):
        print(text, file=sys.stderr, flush=True)

    def _say(self, text):
        left = _clock(self.rate.seconds_per_step() * (self.total - self.done))
        print(f"{text}  {self.rate.images_per_second():,.0f} images/s  {left} left", file=sys.stderr, flush=True)
        self.spoken = time.monotonic()


class Bar(Silent):
    """tqdm's bar over all steps, with the terms, images per second and the time left."""

    def __init__(self, total_steps, opening=None):
        from tqdm import tqdm

        layout = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} steps, {remaining} left{postfix}"
        self.bar = tqdm(
            total=total_steps, bar_format=layout, mininterval=0.2, dynamic_ncols=True, file=sys.stderr
        )  # fmt: skip
        self.total, self.opening = total_steps, opening
        self.rate = Rate()

    def skip(self, steps):
        _begin(self, steps)
        self.bar.update(steps)

    def step(self, images, terms):
        self.rate.add(images)
        self.bar.set_postfix_str(f"{self.rate.images_per_second():,.0f} images/s, {_terms(terms)}", refresh=False)
        self.bar.update()

    def epoch(self, record):
        self.message(_epoch(record))

    def message(self, text):
        self.bar.write(text, file=sys.stderr)

    def close(self):
        self.bar.close()


class Rate:
    """Images and steps per second since the first step."""

    def __init__(self):
        self.start, self.images, self.steps = time.monotonic(), 0, 0

    def add(self, images):
        self.images += images
        self.steps += 1

    def images_per_second(self):
        return self.images / max(time.monotonic() - self.start, 1e-9)

    def seconds_per_step(self):
        return (time.monotonic() - self.start) / max(self.steps, 1)


def _begin(display, steps):
    if display.opening is not None:
        display.message(display.opening)
    if steps:
        display.message(f"going on from step {steps} of {display.total}")


def _epoch(record):
    parts = [f"{part}: {_terms(record[part])}" for part in ("train", "validation", "test") if part in record]
    return "  ".join([f"epoch {record['epoch']}", *parts])


def _terms(terms):
    return " ".join(f"{name} {value:.2f}" for name, value in terms.items())


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
