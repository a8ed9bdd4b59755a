"""How many guesses a password withstands, as zxcvbn counts them: in bounded time, and by the words of one account."""

import math
from collections.abc import Iterable

from zxcvbn import matching, scoring

_JUDGED_LENGTH = 64  # zxcvbn takes quadratic time; what is hard to guess so far gets no easier by what follows
_JUDGED_WORK = 12 * _JUDGED_LENGTH**2  # some 100 ms


def guesses(text: str, words: Iterable[str]) -> float:
    """About how many guesses somebody needs who knows people, their habits and this account.

    `zxcvbn.zxcvbn` itself puts the user's words into a dictionary shared by all threads, so that one person's
    password would be judged by another's words; these are the same two steps with a dictionary of our own.
    """
    dictionaries = {**matching.RANKED_DICTIONARIES, "own_words": matching.build_ranked_dict(sorted(words))}
    judged = _judged(text)
    return float(scoring.most_guessable_match_sequence(judged, matching.omnimatch(judged, dictionaries))["guesses"])


def _judged(text: str) -> str:
    """The longest start of the text that zxcvbn is done with in bounded time.

    It looks up every part of the text in every spelling that l33t allows, up to 736 of them, which would take
    seconds. A start that is cut for this reason is full of different symbols, hence hard to guess already.
    """
    text = text[:_JUDGED_LENGTH]
    while _spellings(text) * len(text) ** 2 > _JUDGED_WORK:
        text = text[:-1]
    return text


def _spellings(text: str) -> int:
    """In how many ways l33t can be undone, up to a factor of two."""
    return math.prod(max(1, sum(symbol in text for symbol in symbols)) for symbols in matching.L33T_TABLE.values())
