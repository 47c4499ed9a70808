"""Pictures of a run, written during and after training where the extra `viz` is installed."""

import os
import time

from ..errors import ConfigError
from ..terminal import say

IMAGES = 2000  # test images whose codes are drawn
# What `plot.training_report` may write.
NAMES = tuple(
    f"{name}.png" for name in (
        "reconstructions", "restorations", "samples", "clusters", "styles", "transfers", "manifold", "features",
        "columns", "usage", "uniform", "codebook", "codes", "curves",
    )
)  # fmt: skip


class Pictures:
    """Writes a run's pictures into its folder, from the data's test part, else the validation or training part."""

    PAUSE = 20  # seconds between pictures while training, at least
    SHARE = 0.1  # of the time that may go into them

    def __init__(self, folder, data):
        part = list(data.parts.values())[-1]
        self.folder, self.class_names, self.feature_names = folder, data.class_names, data.feature_names
        self.x, self.labels = part.x[:IMAGES], None if part.labels is None else part.labels[:IMAGES]
        self.records, self.written, self.pause = [], time.monotonic(), self.PAUSE

    def check(self):
        """What is said before the first step: lines on names that pictures write in another way. Raises
        `MissingExtraError`, and `ConfigError` where a folder stands in the place of a picture."""
        from .. import plot

        plot.check_viz()
        for name in NAMES:
            path = os.path.join(self.folder, name)
            if os.path.isdir(path):
                raise ConfigError(f"{path} is a folder in the place of a picture: move it away, or give --no-pictures")
        names = map(str, (*(self.class_names or ()), *(self.feature_names or ())))
        changed = [shown for name in names if (shown := plot.drawable(name)) != name]
        if not changed:
            return []
        shown = ", ".join(changed[:5]) + ", ..." * (len(changed) > 5)
        return [f"pictures show names that cannot be drawn by the codes of their letters: {shown}"]

    def from_time_to_time(self, model, record):
        """For `fit`'s on_epoch: pictures if the last ones are old."""
        self.records.append(record)
        if time.monotonic() - self.written > self.pause:
            self.write(model, self.records)

    def write(self, model, records):
        """Write all that apply; returns their paths, none without the extra."""
        from .. import plot

        began = time.monotonic()
        try:
            names = self.class_names, records, self.feature_names
            paths = list(map(str, plot.training_report(self.folder, model, self.x, self.labels, *names)))
        except (ImportError, MemoryError, OSError) as error:  # a run does not end because its pictures find no room
            say(f"no pictures: {error}")
            paths = []
        self.written = time.monotonic()
        self.pause = max(self.PAUSE, (self.written - began) / self.SHARE)
        return paths
