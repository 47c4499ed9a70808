"""Shared by the pictures that matplotlib draws: colours, frame, legend and saving."""

from ..data.dataset import class_name
from ..errors import ConfigError
from .contact_sheet import INK, drawable, needs_viz, replace

FAINT = "#777777"
SERIES = {"train": "#0072b2", "validation": "#d55e00", "test": "#009e73"}
# Ten colours found by search: any two are at least 0.11 apart in OKLab, for normal vision and for simulated protanopia,
# deuteranopia and tritanopia (Machado et al. 2009).
COLOURS = (
    "#0692fc", "#518d0f", "#9a0c0b", "#9144ad", "#eaa512", "#f66086", "#1becab", "#39048e", "#cdb1ff", "#00585f",
)  # fmt: skip
MOST_CLASSES = 20  # the largest number of classes with distinct colours


def check_classes(count):
    """Raise `ConfigError` if there are more classes than distinct colours."""
    if count > MOST_CLASSES:
        raise ConfigError(f"colours tell at most {MOST_CLASSES} classes apart, the data have {count}")


def palette(count):
    """A colour for each of `count` classes, an array (count, 4)."""
    with needs_viz():
        from matplotlib import colormaps
        from matplotlib.colors import to_rgba_array

    return to_rgba_array(COLOURS if count <= len(COLOURS) else colormaps["tab20"].colors)[:count]


def class_legend(axes, classes, colours, class_names):
    """Add a legend with the colours and names of classes, to the right of the axes."""
    with needs_viz():
        from matplotlib.lines import Line2D

    texts = [shortened(class_name(label, class_names)) for label in classes]
    dots = [Line2D([], [], linestyle="", marker="o", markersize=8, color=colour) for colour in colours]
    legend = axes.legend(dots, texts, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, handletextpad=0)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold a $


def tidy(axes):
    """Give axes a light grid and no frame at the top and the right."""
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK)


def save(path, figure):
    """Write a figure as a PNG; returns its path."""
    return replace(path, lambda file: figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.15))


def shortened(text):
    """A name as one short line of characters that a picture can show."""
    text = drawable(text)
    return text if len(text) <= 30 else text[:29] + "…"
