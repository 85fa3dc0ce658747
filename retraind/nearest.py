"""The known name that a misspelt one probably meant: every refusal of a name offers it."""

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one of `known` closest to `name`, upper and lower case alike. None: nothing is close."""
    from difflib import get_close_matches  # only a mistake needs it

    by_folded = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'actual'?)`, to stand behind the refused name; empty where nothing is close."""
    found = nearest(name, known)
    return f" (did you mean {found!r}?)" if found is not None else ""
