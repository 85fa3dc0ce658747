"""The files of verdicts: drawn whole in memory, then put in place one by one, never half written."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from daemon.pictures.canvas import ImageFormat, drawing, encoded, printable
from daemon.pictures.drift import drift_figures
from daemon.pictures.page import page
from daemon.pictures.performance import performance_figures
from daemon.pictures.story import Story

_IMAGES: tuple[ImageFormat, ...] = ("svg", "png")


def write_pictures(story: Story, directory: Path, formats: Sequence[str]) -> list[Path]:
    """Writes the verdict's files (svg, png, html) into `directory`, which is made where it is missing.

    Raises OSError.
    """
    with drawing():
        whole = list(performance_figures(story) if story.is_of_metric else drift_figures(story))
        title = printable(f"{story.headline}. {story.look.sentence}", 2_000)
        images = {kind: [encoded(each, kind, title) for each in whole] for kind in _IMAGES if _asks(kind, formats)}
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in _files(story, images, formats):
        _put(directory / name, content)
        written.append(directory / name)
    return written


def _asks(kind: str, formats: Sequence[str]) -> bool:
    return kind in formats or (kind == "svg" and "html" in formats)


def _files(story: Story, images: dict[ImageFormat, list[bytes]], formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    look = story.look
    base = "-".join(re.sub(r"[^\w.]+", "_", part)[:60] for part in (look.model, look.trigger, str(look.id)))
    if "html" in formats:
        yield f"{base}.html", page([(story, images["svg"])])
    for kind in _IMAGES:
        for number, image in enumerate(images[kind] if kind in formats else [], start=1):
            yield f"{base}{'' if number == 1 else f'-{number}'}.{kind}", image


def _put(path: Path, content: bytes) -> None:
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
