"""Notes on triggers that were passed over: one for all that go together answers as each of theirs would."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.idling import Note, Notes

NAMES = ("decay", "drift", "volume")
START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ASKED = timedelta(seconds=17)  # what a trigger of no cadence answers
MODEL: Any = SimpleNamespace(
    triggers=dict.fromkeys(NAMES, SimpleNamespace(next_look=lambda _facts, _state, now: now + ASKED))
)


@dataclass
class Own:
    """A trigger's note, kept by itself."""

    token: str
    seq: int
    insists: datetime | None
    cadence: timedelta | None


CHOSEN = st.sets(st.sampled_from(NAMES), min_size=1).map(sorted)
OWN = st.builds(
    Own,
    st.sampled_from("ab"),
    st.integers(1, 5),
    st.sampled_from([None, START + 3 * MINUTE]),
    st.sampled_from([None, MINUTE, MINUTE, timedelta(hours=2)]),
)
STEP = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(NAMES), OWN),
    st.tuples(st.just("drop"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("pass over"), CHOSEN, st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.integers(0, 5))),
)


def alike(note: Own, token: str, named_at: int, now: datetime) -> bool:
    return note.token == token and named_at <= note.seq and not (note.insists and now >= note.insists)


def due(note: Own, now: datetime) -> datetime:
    if note.cadence is None:
        return now + ASKED
    part = note.cadence / 12
    since = now + note.cadence - datetime(1970, 1, 1, tzinfo=UTC)
    return datetime(1970, 1, 1, tzinfo=UTC) + since // part * part


@settings(max_examples=300, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_joined_notes_answer_as_each_of_them_does(steps: list[tuple[str, Any, Any]]) -> None:
    notes, own = Notes(), dict[str, Own]()
    for number, (what, which, how) in enumerate(steps):
        if what == "put":
            own[which] = Own(how.token, how.seq, how.insists, how.cadence)
            notes.put(which, Note(how.token, how.seq, how.insists, MODEL, {}, how.cadence))
        elif what == "drop":
            own.pop(which, None)
            notes.drop(which)
        elif notes.cover(which):
            token, named_at, minutes = how
            now = START + minutes * MINUTE
            chosen = [own[name] for name in which]  # a KeyError would say that `cover` was wrong
            assert notes.oldest(which) == min(each.seq for each in chosen)
            idle = notes.are_idle(which, token, named_at, now)
            assert idle == all(alike(each, token, named_at, now) for each in chosen)
            if idle:
                found = notes.pass_over(MODEL, which, 10 + number, now, {})
                told = {name: instant for instant, names in found for name in names}
                assert told == {name: due(own[name], now) for name in which}
                for each in chosen:
                    each.seq = 10 + number
        else:
            assert not own.keys() >= set(which)
