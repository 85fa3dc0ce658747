"""What stands above and below every figure: the answer, the verdict's sentence, the legend."""

from textwrap import wrap

from matplotlib.figure import Figure

from daemon.pictures.canvas import ALARM, CALM, CURRENT, REFERENCE, WIDTH, fitting, printable, width, write
from daemon.pictures.story import Story
from triggers.wording import count

_CHARACTERS = 150  # of a line of the sentence
_MOST_LINES = 8
_LINE = 0.19  # inches
_EDGE = 0.3
_ROOM = WIDTH - 2 * _EDGE
_SIZE = 9.5  # points, of the sentence


def lines(story: Story) -> list[str]:
    """The sentence, in lines that fit."""
    sentence = printable(story.look.sentence, _CHARACTERS * _MOST_LINES)
    characters = _CHARACTERS
    while True:
        found = wrap(sentence, characters)
        if max((width(line, _SIZE) for line in found), default=0.0) <= _ROOM:
            return found
        characters = characters * 9 // 10


def height(story: Story) -> float:
    """Inches of the heading."""
    return 0.85 + _LINE * len(lines(story)) + 0.1


def write_heading(whole: Figure, story: Story, page: tuple[int, int], rows: tuple[int, int] | None = None) -> None:
    """The answer and the sentence; with `rows` (of either side) also what the colours mean."""
    fired = story.look.outcome == "fired"
    number, pages = page
    headline = fitting(story.headline, _ROOM - 1, 14, "bold") + (f" ({number} of {pages})" if pages > 1 else "")
    write(whole, _EDGE, 0.22, headline, fontsize=14, fontweight="bold", color=ALARM if fired else CALM)
    write(whole, _EDGE, 0.55, "\n".join(lines(story)), fontsize=_SIZE, color="#20252b", linespacing=1.35)
    if rows is not None:
        before, now = (count(each, "row") for each in rows)
        top = height(story) - 0.2
        _swatch(whole, _EDGE, top, 0.2, REFERENCE)
        write(whole, _EDGE + 0.28, top, f"reference, {before}", fontsize=9, color=CALM)
        _swatch(whole, _EDGE + 2.2, top, 0.1, CURRENT)
        write(whole, _EDGE + 2.38, top, f"now, {now}", fontsize=9, color=CURRENT)
        told = "over time: ■ past every bar   ○ not   ··· bars to pass"
        write(whole, 7.75, top, told, fontsize=9, color=CALM)


def write_foot(whole: Figure, text: str) -> None:
    """A line at the lower edge."""
    write(whole, _EDGE, whole.get_size_inches()[1] - 0.28, text, fontsize=7.5, color="#7b838d")


def _swatch(whole: Figure, left: float, top: float, wide: float, color: str) -> None:
    from matplotlib.patches import Rectangle

    down = whole.get_size_inches()[1]
    corner = left / WIDTH, 1 - (top + 0.15) / down
    whole.add_artist(Rectangle(corner, wide / WIDTH, 0.15 / down, color=color, linewidth=0))
