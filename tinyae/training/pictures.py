"""Pictures of a run, written during and after training if the extra `viz` is installed."""

import os
import time

from ..errors import ConfigError
from ..terminal import say

IMAGES = 2000  # test images whose codes are plotted
# File names that `plot.training_report` may write.
NAMES = tuple(
    f"{name}.png" for name in (
        "reconstructions", "restorations", "samples", "clusters", "styles", "transfers", "manifold", "features",
        "columns", "usage", "uniform", "codebook", "codes", "curves",
    )
)  # fmt: skip


class Pictures:
    """Writes a run's pictures to its folder, of the test split, or else of the validation or training split."""

    PAUSE = 20  # seconds, the shortest time between pictures during training
    SHARE = 0.1  # the largest share of the time that is spent on pictures

    def __init__(self, folder, data):
        part = list(data.parts.values())[-1]
        self.folder, self.class_names, self.feature_names = folder, data.class_names, data.feature_names
        self.x, self.labels = part.x[:IMAGES], None if part.labels is None else part.labels[:IMAGES]
        self.records, self.written, self.pause = [], time.monotonic(), self.PAUSE

    def check(self):
        """Messages to show before the first step, about class names that pictures have to write in another way.

        Raises `MissingExtraError` without the extra `viz`, and `ConfigError` if a folder has the name of a picture.
        """
        from .. import plot

        plot.check_viz()
        for name in NAMES:
            path = os.path.join(self.folder, name)
            if os.path.isdir(path):
                raise ConfigError(f"{path} is a folder, and a picture has that name: move it, or give --no-pictures")
        names = map(str, (*(self.class_names or ()), *(self.feature_names or ())))
        changed = [shown for name in names if (shown := plot.drawable(name)) != name]
        if not changed:
            return []
        shown = ", ".join(changed[:5]) + ", ..." * (len(changed) > 5)
        return [f"pictures show letters that their font lacks as character codes: {shown}"]

    def from_time_to_time(self, model, record):
        """Write pictures if the last ones are old enough; `fit` calls this after each epoch."""
        self.records.append(record)
        if time.monotonic() - self.written > self.pause:
            self.write(model, self.records)

    def write(self, model, records):
        """Write all pictures that apply to the model, and return their paths; none if they cannot be written."""
        from .. import plot

        began = time.monotonic()
        try:
            names = self.class_names, records, self.feature_names
            paths = list(map(str, plot.training_report(self.folder, model, self.x, self.labels, *names)))
        except (ImportError, MemoryError, OSError) as error:  # a run goes on without its pictures
            say(f"no pictures: {error}")
            paths = []
        self.written = time.monotonic()
        self.pause = max(self.PAUSE, (self.written - began) / self.SHARE)
        return paths
