"""The progress display of a run: a bar in a terminal with tqdm (extra viz), or plain lines."""

import re
import textwrap
import time

from ..terminal import Screen, say

NO_BREAK = "\N{NO-BREAK SPACE}"


def make(wanted, total_steps):
    """Make the progress display of a run with `total_steps` steps.

    wanted: True, False, a text to show first, or a display object, which is returned.
    """
    if wanted is False:
        return Silent()
    if not isinstance(wanted, (bool, str)):
        return wanted
    opening = wanted if isinstance(wanted, str) else None
    if Screen().columns:
        try:
            return Bar(total_steps, opening)
        except ImportError:
            pass
    return Lines(total_steps, opening)


class Silent:
    """A display that shows nothing; the base class of the others."""

    lost = None  # the error that stopped the display

    def skip(self, steps):
        """The run begins; a resumed run has done `steps` steps before."""

    def step(self, images, terms):
        """A step is done. images: the number of examples. terms: {name: float}."""

    def epoch(self, record):
        """An epoch is done. record: its dict, as in metrics.jsonl."""

    def message(self, text):
        """Show a line that must stay visible."""

    def close(self):
        """The run has ended."""


class Lines(Silent):
    """Shows a line after each epoch, and every ten seconds within a long epoch. If stderr fails, lines are dropped."""

    PAUSE = 10  # seconds

    def __init__(self, total_steps, opening=None):
        self.total, self.opening = total_steps, opening

    def skip(self, steps):
        if self.opening is not None:
            for line in self.opening.split("\n"):
                self.message(line)
        if steps:
            self.message(f"resuming at step {steps} of {self.total}")
        self.done, self.means, self.rate, self.spoken = steps, Means(), Rate(), time.monotonic()

    def step(self, images, terms):
        self.done += 1
        self.means.add(images, terms)
        self.rate.add(images)
        if time.monotonic() - self.spoken > self.PAUSE:
            self._say(f"step {self.done}/{self.total}", _terms(self.means.now()))

    def epoch(self, record):
        self.means = Means()
        self._say(f"epoch {record['epoch']}", *_parts(record))

    def message(self, text):
        self.lost = self.lost or say(text)

    def _say(self, head, *parts):
        left = _clock(self.rate.seconds_per_step() * (self.total - self.done))
        for line in folded(head, [*parts, f"{self.rate.images_per_second():,.0f} examples/s  {left} left"]):
            self.message(line)
        self.spoken = time.monotonic()


class Bar(Lines):
    """Shows tqdm's bar over all steps, with mean terms of the epoch, examples per second and the remaining time."""

    LEAST = 10  # the smallest number of columns of the bar itself
    MARGIN = 3  # columns that stay free, since the terminal writes ^C there

    def __init__(self, total_steps, opening=None):
        from tqdm import tqdm

        super().__init__(total_steps, opening)
        self.tqdm, self.bar, self.screen = tqdm, None, Screen()

    def skip(self, steps):
        super().skip(steps)
        self.bar = self.tqdm(
            total=self.total, initial=steps, mininterval=0.2, ncols=self._width(), file=self.screen,
            bar_format="{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} steps, {remaining} left{postfix}",
        )  # fmt: skip

    def step(self, images, terms):
        self.means.add(images, terms)
        self.rate.add(images)
        self.bar.ncols = self._width()
        self.bar.set_postfix_str(self._postfix(), refresh=False)
        self.bar.update()

    def epoch(self, record):
        self.means = Means()
        for line in folded(f"epoch {record['epoch']}", _parts(record)):
            self.message(line)

    def close(self):
        if self.bar is not None:
            self.bar.leave = self.bar.n >= self.total  # an unfinished bar is removed: it would look like a running one
            self._wipe()
            self.bar.close()
            self.lost = self.lost or self.screen.lost

    def _width(self):
        return (self.screen.columns or 80) - self.MARGIN

    def message(self, text):
        self._wipe()
        super().message(text)

    def _wipe(self):
        """Clear the bar's line to its end, where the terminal may have written ^C."""
        if self.bar is not None and self.screen.columns:
            self.bar.clear()
            self.screen.write(f"\r{' ' * (self.screen.columns - 1)}\r")

    def _postfix(self):
        """Examples per second and as many terms as fit next to the bar; the loss comes first."""
        room = self._width() - self.LEAST - len(f"100% || {self.total}/{self.total} steps, 0:00:00 left, ")
        terms = sorted(self.means.now().items(), key=lambda term: term[0] != "loss")
        texts = [
            f"{self.rate.images_per_second():,.0f} examples/s, {_terms(dict(terms[:count]))}"
            for count in range(len(terms), 0, -1)
        ]
        return next((text for text in [*texts, _terms(dict(terms[:1]))] if len(text) <= room), "")


class Means:
    """Mean terms over the examples of an epoch so far."""

    def __init__(self):
        self.sums = {}

    def add(self, images, terms):
        for name, value in terms.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + value * images, count + images

    def now(self):
        return {name: total / count for name, (total, count) in self.sums.items()}


class Rate:
    """Examples per second and seconds per step since the run began."""

    def __init__(self):
        self.start, self.images, self.steps = time.monotonic(), 0, 0

    def add(self, images):
        self.images += images
        self.steps += 1

    def images_per_second(self):
        return self.images / max(time.monotonic() - self.start, 1e-9)

    def seconds_per_step(self):
        return (time.monotonic() - self.start) / max(self.steps, 1)


def folded(head, parts):
    """Lines with head and parts: a single line, or in a narrow terminal separate lines for each part."""
    line, width = "  ".join([head, *parts]), Screen().columns
    if width is None or len(line) <= width:
        return [line]
    lines, begin, margin = [], f"{head}  ", " " * (len(head) + 2)
    for part in parts:
        kept = re.sub(r" (?=\S*\d)", NO_BREAK, part)  # keeps a name and its number in one line
        options = {"initial_indent": begin, "subsequent_indent": margin, "break_long_words": False}
        lines += textwrap.wrap(kept, width, break_on_hyphens=False, **options)
        begin = margin
    return [line.replace(NO_BREAK, " ") for line in lines]


def _parts(record):
    return [f"{part}: {_terms(record[part])}" for part in ("train", "validation", "test") if part in record]


def _terms(terms):
    return " ".join(f"{name} {value:.2f}" for name, value in terms.items())


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
