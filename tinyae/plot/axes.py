"""What the pictures that matplotlib draws have in common: colours, frame, saving."""

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
MOST_CLASSES = 20  # that colours can tell apart


def check_classes(count):
    """Raises `ConfigError` for more classes than colours tell apart."""
    if count > MOST_CLASSES:
        raise ConfigError(f"colours tell at most {MOST_CLASSES} classes apart, the data have {count}")


def palette(count):
    """(count, 4): a colour for each of `count` classes."""
    with needs_viz():
        from matplotlib import colormaps
        from matplotlib.colors import to_rgba_array

    return to_rgba_array(COLOURS if count <= len(COLOURS) else colormaps["tab20"].colors)[:count]


def class_legend(axes, classes, colours, class_names):
    """The names of classes beside their colours, right of the axes."""
    with needs_viz():
        from matplotlib.lines import Line2D

    texts = [shortened(class_name(label, class_names)) for label in classes]
    dots = [Line2D([], [], linestyle="", marker="o", markersize=8, color=colour) for colour in colours]
    legend = axes.legend(dots, texts, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, handletextpad=0)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a name may hold a $


def tidy(axes):
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK)


def save(path, figure):
    return replace(path, lambda file: figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.15))


def shortened(text):
    """A name from outside as one short line of what can be drawn."""
    text = drawable(text)
    return text if len(text) <= 30 else text[:29] + "…"
