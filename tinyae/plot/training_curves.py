"""A picture of the loss and its terms over the epochs."""

import math

import numpy as np

from ..errors import ConfigError
from ..options import Count, Kind, Optional, Path, Sequence, Text, Tuple, options
from .axes import FAINT, INK, SERIES, save, tidy
from .contact_sheet import needs_viz


class Record(Kind):
    """The record of an epoch, as in metrics.jsonl; it has at least the epoch's number."""

    def convert(self, value):
        if not isinstance(value, dict) or not all(isinstance(value.get(part) or {}, dict) for part in SERIES):
            raise TypeError
        Count(0, None).convert(value.get("epoch"))
        return value


PER = Tuple('what the loss adds up over and how many of them, such as ("code", 49)', Text(), Count())
RECORDS = Sequence(Record(), "a sequence of records, one for each epoch")
LN2 = math.log(2)  # nats in a bit
ALARM = "#ffe3cf"
SHARES = ("accuracy", "classified")
ENTROPIES = ("discriminator", "discriminators", "generator", "cross_entropy")  # always in nats


@options(path=Path(), records=RECORDS, unit=Text(), per=Optional(PER))
def curves(path, records, unit="nats", per=None):
    """Write a picture with a panel for the loss and for each of its terms, over the epochs.

    records: [{"epoch": 1, "train": {"loss": 203.1, "kl": ...}, "test": {...}}, ...], optionally with "validation" and
    "test". unit: of the loss. per: ("code", 49) to divide a loss in nats by its 49 codes, with a second axis in bits. A
    term that always equals the loss is left out. If the first tenth of the epochs would take most of an axis, the axis
    is cut, and a note gives the range. Epochs with "alarms" are tinted, and named in the legend. Raises `ConfigError`
    without records.
    """
    with needs_viz():
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    terms = _terms(records)
    if not terms:
        raise ConfigError("curves: there are no records of epochs to plot")
    what, count = per or (None, 1)
    wrong = {record["epoch"]: record["alarms"] for record in records if record.get("alarms")}
    named = f"alarm: {', '.join(sorted(set().union(*wrong.values())))}"
    rows = math.ceil(len(terms) / 3)
    columns = math.ceil(len(terms) / rows)
    figure = Figure(figsize=(max(6, 4.2 * columns), 3.6 * rows), dpi=110, layout="constrained")
    for i, term in enumerate(terms):
        axes = figure.add_subplot(rows, columns, i + 1)
        drawn = []
        for part, colour in SERIES.items():
            line = [(r["epoch"], float(r[part][term]) / count) for r in records if term in (r.get(part) or {})]
            if line:
                dots = "o" if len(line) <= 20 else ""
                axes.plot(*zip(*line, strict=True), color=colour, marker=dots, markersize=4, linewidth=1.6, label=part)
                drawn += line
        _cut(axes, np.array(drawn))
        for j, epoch in enumerate(wrong):
            label = None if j else named
            axes.axvspan(epoch - 0.5, epoch + 0.5, color=ALARM, linewidth=0, zorder=0, label=label)
        if len(records) == 1:
            axes.set_xlim(records[0]["epoch"] - 1, records[0]["epoch"] + 1)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        axes.set(xlabel="epoch", ylabel=f"{unit} per {what}" if per else _unit(term, terms, unit))
        axes.set_title(term, loc="left", color=INK)
        tidy(axes)
        if per:
            bits = axes.secondary_yaxis("right", functions=(lambda nats: nats / LN2, lambda bits: bits * LN2))
            bits.set_ylabel(f"bits per {what}")
            bits.spines["right"].set_visible(False)
            bits.tick_params(color=FAINT, labelcolor=INK)
        if i == 0:
            axes.legend(frameon=False)
    return save(path, figure)


def _terms(records):
    """The names of the terms, without terms that equal the loss in every split of every record."""
    told = [record[part] for record in records for part in SERIES if record.get(part)]
    names = dict.fromkeys(name for record in records for name in record.get("train") or ())
    return [name for name in names if name == "loss" or any(r.get(name) != r.get("loss") for r in told)]


def _unit(term, terms, unit):
    """The unit of a term, if the unit of the loss is `unit`; the terms of a Wasserstein critic have none."""
    if "distance" in terms:
        return ""
    return "share" if term in SHARES else "nats" if term in ENTROPIES else unit


def _cut(axes, drawn, least=4):
    """Limit the y axis if all but the first tenth of the epochs would take less than a fifth of the height.

    drawn: (points, 2), epoch and value. The late epochs then take half of the height, and a note gives the full range.
    """
    drawn = drawn[np.isfinite(drawn[:, 1])]
    epochs = np.unique(drawn[:, 0])
    if len(epochs) < least:
        return
    values, late = drawn[:, 1], drawn[drawn[:, 0] > epochs[(len(epochs) - 1) // 10], 1]
    low, high = late.min(), late.max()
    span = high - low
    if not 0 < span < (values.max() - values.min()) / 5:
        return
    bottom, top = max(values.min(), low - span / 2), min(values.max(), high + span / 2)
    axes.set_ylim(bottom - span * 0.1, top + span * 0.1)
    notes = [f"down to {values.min():.4g}"] * bool(values.min() < bottom)
    notes += [f"up to {values.max():.4g}"] * bool(values.max() > top)
    axes.set_title(f"cut: goes {' and '.join(notes)}", loc="right", fontsize=8, color=FAINT)
