"""One page of HTML that holds everything: the answer, the sentence, the pictures and the figures behind them."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from daemon.pictures.canvas import ALARM, CALM, number_told, printable
from daemon.pictures.story import Story

_STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: #20252b; background: #fff; margin: 2rem auto; max-width: 78rem;
  padding: 0 1rem; }}
h1 {{ font-size: 1.35rem; margin: 0 0 .3rem; color: {CALM}; }}
h1.fired {{ color: {ALARM}; }}
img {{ width: 100%; height: auto; display: block; }}
section + section {{ border-top: 3px solid #e4e6ea; margin-top: 3rem; padding-top: 2rem; }}
table {{ border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: left; padding: .15rem .8rem .15rem 0; border-bottom: 1px solid #e4e6ea; }}
td {{ overflow-wrap: anywhere; }}
.told {{ position: absolute; left: -9999px; }}
summary {{ cursor: pointer; color: {CALM}; }}
"""
_FIGURES = ("test", "window", "distance", "natural_bar", "p_adjusted", "noise", "effect", "nature", "drifted")
_MOST_ROWS = 500


def page(parts: Sequence[tuple[Story, Sequence[bytes]]]) -> bytes:
    """The page, of each verdict and its pictures as SVG. Pictures are embedded as images, in which nothing can run."""
    title = escape("; ".join(printable(story.headline, 120) for story, _ in parts[:3]))
    body = "".join(_section(story, images) for story, images in parts)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
    )
    return f"{head}<body>{body}</body></html>\n".encode()


def _section(story: Story, images: Sequence[bytes]) -> str:
    look = story.look
    fired = ' class="fired"' if look.outcome == "fired" else ""
    heading, sentence = escape(printable(story.headline, 200)), escape(printable(look.sentence, 5_000))
    drawn = "".join(
        f'<img alt="{heading}. {sentence}" src="data:image/svg+xml;base64,{b64encode(image).decode()}">'
        for image in images
    )
    # The heading is a part of the picture; here it is for those who do not see it, and for searching.
    return (
        f'<section><div class="told"><h1{fired}>{heading}</h1><p>{sentence}</p></div>{drawn}{_table(story)}</section>'
    )


def _table(story: Story) -> str:
    """The figures of every column, those that were not drawn included."""
    columns: Mapping[str, Mapping[str, Any]] = story.look.numbers.get("columns") or {}
    rows = list(_rows(columns))
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("column", *_FIGURES))
    return (
        f"<details><summary>Figures of {len(columns):,} columns</summary>"
        f"<table><tr>{head}</tr>{''.join(rows[:_MOST_ROWS])}</table></details>"
    )


def _rows(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, figures in columns.items():
        cells = [printable(name, 120), *(_cell(figures.get(key)) for key in _FIGURES)]
        if "drifted" in figures:
            yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number_told(value) if isinstance(value, int | float) else str(value)
