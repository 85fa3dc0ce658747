"""Verdicts drawn: what is in the pictures, that they are sound files, and that nothing in them is read as markup."""

import json
import re
from base64 import b64decode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pytest

from daemon.pictures.bars import draw_bars
from daemon.pictures.canvas import CURRENT, REFERENCE, drawing, figure, numbers_told, panel, printable, shortened
from daemon.pictures.files import write_pictures
from daemon.pictures.story import Story
from retraind.ledger.looks import Look
from triggers.bars import bars_of
from triggers.drift import DriftTrigger
from triggers.evidence import Evidence, ModelFacts
from triggers.picture import kept_tests
from triggers.profile import ReferenceProfile, WindowProfile

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n"
HOSTILE = "<script>alert(1)</script>&\"'$\\frac{a}{b}$\x00\n\u202eend"


def kept(verdict: Any, number: int = 1, trigger: str = "drift", model: str = "delays") -> Look:
    """A look as the ledger gives it back."""
    numbers = json.loads(json.dumps(dict(verdict.numbers)))
    picture = json.loads(json.dumps(verdict.picture))
    at = NOW + timedelta(days=number)
    return Look(number, model, trigger, at, str(verdict.outcome), verdict.sentence, "-", None, numbers, picture)


def judged(reference: pa.Table, current: pa.Table, **settings: Any) -> Any:
    trigger = DriftTrigger(**{"prediction": False, "incidents": False, **settings})
    features = tuple(name for name in reference.column_names if name != "timestamp")
    facts = ModelFacts(NOW, NOW, NOW, "1", NOW - timedelta(days=60), {}, features)
    return trigger.evaluate(Evidence(facts, {}, {"reference": reference, "current": current}), NOW)


def columns(names: Sequence[str], rows: int, shift: float, seed: int) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table({name: random.normal(shift, 1, rows) for name in names})


def measured(number: int, value: float, outcome: str = "quiet", **more: Any) -> Look:
    numbers = {"metric": "accuracy", "value": value, "low": value - 0.02, "high": value + 0.02, "confidence": 0.978}
    numbers |= {"bar": 0.85, "gate": 0.91, "labelled": 1_900, "coverage": 0.96, **more}
    sentence = f"accuracy was {value}."
    return Look(number, "delays", "decay", NOW + timedelta(days=number), outcome, sentence, "-", None, numbers, None)


def texts(svg: bytes) -> str:
    """What can be read in the picture, its lines joined."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own file
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    return " ".join(
        " ".join("".join(each.itertext()).split()) for each in root.iter("{http://www.w3.org/2000/svg}text")
    )


def drawn(story: Story, folder: Path, *formats: str) -> list[bytes]:
    return [path.read_bytes() for path in write_pictures(story, folder, formats)]


def test_the_files_are_sound_and_have_the_verdicts_sentence(tmp_path):
    verdict = judged(columns("ab", 2_000, 0.0, 1), columns("ab", 1_000, 0.5, 2))
    svg, png, html = sorted(
        write_pictures(Story([kept(verdict)]), tmp_path / "deep" / "pictures", ("svg", "png", "html")),
        key=lambda path: ("svg", "png", "html").index(path.suffix[1:]),
    )
    assert [path.name for path in (svg, png, html)] == [f"delays-drift-1.{kind}" for kind in ("svg", "png", "html")]
    assert png.read_bytes().startswith(PNG)
    assert png.read_bytes().rstrip().endswith(b"IEND\xaeB`\x82")
    told = texts(svg.read_bytes())
    assert verdict.sentence in told
    assert "FIRED: drift of delays, look 1 at 2026-03-21 12:00 UTC" in told
    assert "reference, 2,000 rows" in told
    assert verdict.sentence in html.read_text().replace("&#x27;", "'")
    assert sorted(path.name for path in svg.parent.iterdir()) == sorted(path.name for path in (svg, png, html))


def test_the_bars_that_are_drawn_are_the_counts(tmp_path):
    random = np.random.default_rng(1)
    before = pa.table({"x": pa.array(random.normal(0, 1, 4_000), mask=random.random(4_000) < 0.1)})
    now = pa.table({"x": pa.array(random.normal(1, 1, 1_000), mask=random.random(1_000) < 0.3)})
    profile = ReferenceProfile.of(before, ["x"])
    window = WindowProfile(profile.layouts)
    window.add(now)
    counts = profile.counts.cells["x"], window.cells["x"]
    missing = profile.counts.missing["x"], window.missing["x"]
    bars = bars_of(profile.layouts["x"], *counts, missing)
    with drawing():
        axes = panel(figure(5), 1, 1, 6, 3)
        draw_bars(axes, bars.kept())
    wide, narrow = axes.containers
    places = len(bars.reference)
    first = 1 if "below" in bars.beside else 0
    assert [bar.get_height() * 4_000 for bar in wide][first : first + places] == pytest.approx(bars.reference)
    assert [bar.get_height() * 1_000 for bar in narrow][first : first + places] == pytest.approx(bars.current)
    assert (wide[-1].get_height() * 4_000, narrow[-1].get_height() * 1_000) == pytest.approx(missing)
    assert sum(bar.get_height() for bar in wide) == pytest.approx(1)
    assert sum(bar.get_height() for bar in narrow) == pytest.approx(1)
    assert axes.get_xticklabels()[-1].get_text() == "missing"
    assert mpl.colors.to_hex(wide[0].get_facecolor()) == REFERENCE.lower()
    assert mpl.colors.to_hex(narrow[0].get_facecolor()) == CURRENT.lower()


def test_every_drifted_column_has_a_picture_on_as_many_pages_as_it_takes(tmp_path):
    names = [f"column{place}x" for place in range(8)]
    verdict = judged(columns(names, 800, 0.0, 1), columns(names, 800, 1.0, 2))
    assert len(verdict.numbers["drifted"]) == 8
    files = write_pictures(Story([kept(verdict)]), tmp_path, ("svg",))
    assert [path.name for path in files] == ["delays-drift-1.svg", "delays-drift-1-2.svg"]
    told = [texts(path.read_bytes()) for path in files]
    assert "(2 of 2)" in told[1]
    titled = [name for page in told for name in names if f"{name} drifted" in page]
    assert sorted(titled) == sorted(names)


@pytest.mark.parametrize("formats", [("svg",), ("html",)])
def test_names_of_other_people_are_text_and_nothing_else(tmp_path, formats):
    random = np.random.default_rng(1)
    levels = [f"{HOSTILE}{number}" for number in range(5)]
    made = [
        pa.table({HOSTILE: random.normal(shift, 1, 600), "levels": random.choice(levels[: 3 + shift], 600).tolist()})
        for shift in (0, 2)
    ]
    verdict = judged(*made)
    look = kept(verdict, trigger=f"../../{HOSTILE}", model="/etc/x")
    (path,) = write_pictures(Story([look]), tmp_path, formats)
    assert path.parent == tmp_path
    assert re.fullmatch(r"[\w.-]+", path.name)
    content = path.read_text()
    images = [content] if formats == ("svg",) else re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', content)
    images = images if formats == ("svg",) else [b64decode(image).decode() for image in images]
    for text in [content, *images]:
        assert "<script" not in text
        assert "\x00" not in text
        assert "\u202e" not in text
    assert "<script>alert" in texts(images[0].encode())
    assert "$\\frac{a}{b}$" in texts(images[0].encode())


def test_the_page_needs_nothing_and_runs_nothing(tmp_path):
    verdict = judged(columns("ab", 800, 0.0, 1), columns("ab", 800, 1.0, 2))
    (page,) = drawn(Story([kept(verdict)]), tmp_path, "html")
    text = page.decode()
    assert "default-src 'none'; img-src data:" in text
    assert set(re.findall(r'(?:src|href)="([a-z]+:)', text)) == {"data:"}
    assert "<details>" in text
    assert "<td>a</td>" in text


def test_a_thousand_levels_and_long_names_stay_within_the_figure(tmp_path):
    random = np.random.default_rng(1)
    levels = [f"a rather long name of a merchant, number {number}" for number in range(1_000)]
    name = "a column whose name goes on " * 10
    before = pa.table({name: random.choice(levels, 5_000).tolist(), "w" * 200: random.normal(0, 1, 5_000)})
    now = pa.table({name: random.choice(levels[:20], 2_000).tolist(), "w" * 200: random.normal(1, 1, 2_000)})
    look = kept(judged(before, now))
    from daemon.pictures.drift import drift_figures

    with drawing():
        (whole,) = drift_figures(Story([look]))
        whole.canvas.draw()
        edge = whole.bbox
        written = [text for axes in whole.axes for text in [*axes.get_xticklabels(), *axes.texts]] + list(whole.texts)
        for text in written:
            box = text.get_window_extent()
            assert box.x0 >= edge.x0, text.get_text()
            assert box.x1 <= edge.x1, text.get_text()
            assert box.y0 >= edge.y0 - 1, text.get_text()


def test_a_statistic_is_followed_over_the_looks_that_are_kept_with_its_bars(tmp_path):
    reference = columns("a", 3_000, 0.0, 1)
    looks = [
        kept(judged(reference, columns("a", 1_000, shift, 10 + day)), day) for day, shift in enumerate((0, 0, 0.1, 0.5))
    ]
    from daemon.pictures.drift import drift_figures

    story = Story(looks)
    column = looks[-1].picture["columns"][0]
    followed = list(story.tests("a", column["told_by"], column["window"]))
    assert [look.id for look, _ in followed] == [0, 1, 2, 3]
    assert [test.past for _, test in followed] == [False, False, followed[2][1].past, True]
    with drawing():
        (whole,) = drift_figures(story)
    axes = whole.axes[1]
    assert {label.get_text() for label in axes.texts if label.get_text()[-1] in "✓✗"} == {"noise ✓", "effect ✓"}
    heights = {round(float(line.get_ydata()[-1]), 6) for line in axes.lines}
    told = next(test for test in kept_tests(column) if test["test"] == column["told_by"])
    assert {round(told[name], 6) for name in ("noise_bar", "effect_bar", "distance")} <= heights


def test_a_column_that_was_not_kept_at_an_earlier_look_is_followed_by_that_looks_numbers():
    figures = {"rank_sum": 0.47, "drifted": False}
    earlier = Look(
        1, "m", "t", NOW, "quiet", "s", "-", None, {"columns": {"a": figures}, "windows": [{"window": "7d"}]}, None
    )
    ((_, test),) = Story([earlier]).tests("a", "rank_sum", "7d")
    assert test.distance == pytest.approx(0.03)
    assert not test.past
    assert list(Story([earlier]).tests("a", "rank_sum", "1d")) == []


def test_a_metric_is_drawn_with_its_interval_its_bar_and_its_gate(tmp_path):
    story = Story([measured(1, 0.92), measured(2, 0.9), measured(3, 0.8, "fired")])
    (svg,) = drawn(story, tmp_path, "svg")
    told = texts(svg)
    for part in ("accuracy (share, 1 is best) with its 97.8 % interval", "bar 0.85", "at its gate 0.91", "0.8"):
        assert part in told
    assert "labelled rows (96 % of rows now)" in told


def test_a_metric_without_bar_or_gate_at_a_single_look_is_drawn_too(tmp_path):
    assert drawn(Story([measured(1, 0.92, bar=None, gate=None, coverage=None)]), tmp_path, "png")[0].startswith(PNG)


def test_looks_of_a_shifted_clock_or_of_one_instant_are_drawn(tmp_path):
    looks = [measured(5, 0.9), measured(5, 0.91), measured(2, 0.92)]
    assert drawn(Story(looks), tmp_path, "png")[0].startswith(PNG)


def test_the_same_look_gives_the_same_file_and_no_global_state_is_left(tmp_path):
    before = dict(mpl.rcParams)
    looks = [kept(judged(columns("ab", 800, 0.0, 1), columns("ab", 800, 0.5, 2)))]
    assert drawn(Story(looks), tmp_path / "one", "svg") == drawn(Story(looks), tmp_path / "two", "svg")
    assert dict(mpl.rcParams) == before


def test_numbers_are_told_with_as_few_digits_as_tell_them_apart():
    assert numbers_told([0.0, 0.5, 1.0]) == ["0", "0.5", "1"]
    assert numbers_told([1234.0, 1235.0]) == ["1,234", "1,235"]
    assert numbers_told([2.5e6, -0.00012, 100.0]) == ["2.5e6", "-1.2e-4", "100"]
    assert len(set(numbers_told([1.7e15, 1.7001e15, 1.7002e15]))) == 3
    assert printable("a\nb\x00c", 10) == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"
    assert shortened("merchant number 512", 11) == "merch…r 512"


def test_a_bar_that_no_distance_can_pass_is_drawn_at_its_end_and_said_to_be_out_of_reach():
    from daemon.pictures.drift import drift_figures

    look = kept(judged(columns("a", 3_000, 0.0, 1), columns("a", 1_000, 0.5, 2)))
    (column,) = look.picture["columns"]
    place = next(i for i, each in enumerate(kept_tests(column)) if each["test"] == column["told_by"])
    column["tests"][place][5] = 7.5  # the natural bar, as kept
    column["tests"][place][8] = False
    with drawing():
        (whole,) = drift_figures(Story([look]))
    axes = whole.axes[1]
    most = {"ks": 1.0, "rank_sum": 0.5}[column["told_by"]]
    assert "nature out of reach" in {label.get_text() for label in axes.texts}
    assert max(float(each) for line in axes.lines for each in line.get_ydata()) == most
