"""What the pictures that matplotlib draws have in common: colours, frame, saving."""

from .contact_sheet import INK, replace

FAINT = "#777777"
SERIES = {"train": "#0072b2", "validation": "#d55e00", "test": "#009e73"}
# Ten colours found by search: any two are at least 0.11 apart in OKLab, for normal vision and for simulated protanopia,
# deuteranopia and tritanopia (Machado et al. 2009).
COLOURS = (
    "#0692fc", "#518d0f", "#9a0c0b", "#9144ad", "#eaa512", "#f66086", "#1becab", "#39048e", "#cdb1ff", "#00585f",
)  # fmt: skip


def tidy(axes):
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(color=FAINT, labelcolor=INK)


def save(path, figure):
    return replace(path, lambda file: figure.savefig(file, format="png", bbox_inches="tight", pad_inches=0.15))


def class_name(label, class_names):
    known = class_names is not None and 0 <= label < len(class_names)
    return str(class_names[label] if known else label)
