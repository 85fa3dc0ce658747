"""The one home of matplotlib: figures without global state, their files' bytes, and text that is safe to write on them.

Names of columns and levels are other people's: nothing in them is read as mathematics or markup, and
what cannot be printed is shown as such.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

ImageFormat = Literal["svg", "png"]

WIDTH = 12.0  # inches, of every figure
_DPI = 110

# Okabe and Ito's palette, told apart with any colour vision; each also differs by width, line style or marker.
REFERENCE = "#c9ccd1"
CURRENT = "#0072B2"
ALARM = "#C04A00"
CALM = "#4d5560"
NOISE, EFFECT, NATURE = "#6b6b6b", "#9A6A00", "#007A5A"
BEHIND = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.6}  # text that may lie on a line

_STYLE = {
    "text.parse_math": False,
    "svg.fonttype": "none",  # text stays text, to be searched and read aloud
    "svg.hashsalt": "retraind",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a9099",
    "axes.linewidth": 0.8,
    "xtick.color": "#4d5560",
    "ytick.color": "#4d5560",
    "axes.labelcolor": "#4d5560",
    "date.converter": "concise",
}


@contextmanager
def drawing() -> Iterator[None]:
    """The style that figures are made and saved in."""
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # it is drawn as a box
        yield


def figure(height: float) -> Figure:
    """An empty figure of so many inches."""
    return Figure(figsize=(WIDTH, height), dpi=_DPI, facecolor="white")


def panel(whole: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes so many inches from the figure's left and top."""
    across, down = whole.get_size_inches()
    return whole.add_axes((left / across, 1 - (top + height) / down, width / across, height / down))


def write(whole: Figure, left: float, top: float, text: str, **style: Any) -> None:
    """Text whose upper left corner lies so many inches from the figure's left and top."""
    across, down = whole.get_size_inches()
    whole.text(left / across, 1 - top / down, text, va="top", ha="left", **style)


def encoded(whole: Figure, kind: ImageFormat, title: str) -> bytes:
    """The file's bytes: the same for the same figure."""
    buffer = BytesIO()
    metadata = {"Title": title, "Date": None} if kind == "svg" else {"Title": title}
    whole.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def printable(text: str, most: int) -> str:
    """`text` in one line of at most `most` characters; what cannot be printed, or turns the writing round, as �."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[: most + 1])
    return shown if len(text) <= most else f"{shown[: most - 1]}…"


def number_told(value: float, digits: int = 4) -> str:
    """As few characters as tell it to so many digits: `0.25`, `12,500`, `1.2e6`."""
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.{max(digits, 3)}g}"


def numbers_told(values: Sequence[float]) -> list[str]:
    """All to as many digits as tell them apart, three at least."""
    for digits in range(3, 9):
        told = [number_told(value, digits) for value in values]
        if len(set(told)) == len(set(values)):
            break
    return told


def shortened(name: str, most: int) -> str:
    """`name` in one line of at most `most` characters, its end kept: names that begin alike are told apart."""
    if len(name) <= most:
        return printable(name, most)
    end = (most - 1) // 2
    return f"{printable(name[: most - 1 - end], most)}…{printable(name[-end:], most)}"


def fitting(text: str, inches: float, size: float, weight: str = "normal") -> str:
    """As much of `text` as there is room for, in one line."""
    most = 400
    shown = shortened(text, most)
    while len(shown) > 8 and (wide := width(shown, size, weight)) > inches:
        most = max(min(int(len(shown) * inches / wide), len(shown) - 1), 8)
        shown = shortened(text, most)
    return shown


def width(text: str, size: float, weight: str = "normal") -> float:
    """Inches that a line of text takes."""
    found, _, _ = text_to_path.get_text_width_height_descent(
        text, FontProperties(size=size, weight=weight), ismath=False
    )
    return float(found) / 72
