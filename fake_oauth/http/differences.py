"""How a URI that was sent differs from one that is registered, for a person.

The rules compare redirect URIs character by character (RFC 6749 section 3.1.2.3). Here is only the
explanation: the nearest one, the characters that differ, and the parts of the URI that they are in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from fake_oauth.http.languages import Text
from fake_oauth.journal import printable

# The comparison takes time that grows with the square of the length.
_LONGEST: Final = 300
_COMPARED: Final = 1000
# A unit is a character, or a number: two ports differ as a whole.
_UNITS: Final = re.compile("[0-9]+|.", re.DOTALL)

Piece = tuple[str, bool]
"""A part of a text, and whether the other text has something else there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A value that was sent beside one that is known."""

    sent: tuple[Piece, ...]
    known: tuple[Piece, ...]
    reasons: tuple[Text, ...]
    """Why they do not match."""


def nearest(sent: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known text that is most like the one that was sent, if one is like it at all."""
    compared = {text[:_LONGEST]: text for text in list(known)[:_COMPARED]}
    found = get_close_matches(sent[:_LONGEST], list(compared), n=1, cutoff=cutoff)
    return compared[found[0]] if found else None


def difference(sent: str, known: str) -> Difference:
    """Return how two URIs differ."""
    pieces_sent, pieces_known = _pieces(short(sent), short(known))
    return Difference(sent=pieces_sent, known=pieces_known, reasons=tuple(_reasons(sent, known)))


def short(text: str) -> str:
    """Return a text that a page can show: a long one without its end.

    What has no shape, such as a zero-width space, is shown as its escape.
    """
    shown = printable(text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}…"


def _pieces(sent: str, known: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    of_sent: list[Piece] = []
    of_known: list[Piece] = []
    ours, theirs = _UNITS.findall(sent), _UNITS.findall(known)
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    for kind, first, last, known_first, known_last in matcher.get_opcodes():
        differs = kind != "equal"
        if first < last:
            of_sent.append(("".join(ours[first:last]), differs))
        if known_first < known_last:
            of_known.append(("".join(theirs[known_first:known_last]), differs))
    return tuple(of_sent), tuple(of_known)


def _reasons(sent: str, known: str) -> Sequence[Text]:
    """Return what differs: the first reason that explains all, or one for each part of the URIs."""
    if sent.strip() == known:
        return [Text("There is a space or a line break at an end of it.")]
    if unquote(sent) == known:
        return [Text("It is percent-encoded twice.")]
    try:
        parts = urlsplit(sent), urlsplit(known)
        ports = parts[0].port, parts[1].port
    except ValueError:
        return [Text("It is not a URL.")]
    reasons = list(_parts(*parts, ports))
    if reasons:
        return reasons
    if sent.lower() == known.lower():
        return [Text("It differs in upper and lower case.")]
    return [Text("It differs only in characters that are hard to see.")]


def _parts(
    sent: SplitResult, known: SplitResult, ports: tuple[int | None, int | None]
) -> Iterator[Text]:
    if sent.scheme != known.scheme:
        values = {"sent": sent.scheme, "known": known.scheme}
        yield Text("The scheme is <code>%(sent)s</code>, not <code>%(known)s</code>.", values)
    if sent.hostname != known.hostname:
        values = {"sent": short(sent.hostname or "–"), "known": short(known.hostname or "–")}
        yield Text("The host is <code>%(sent)s</code>, not <code>%(known)s</code>.", values)
    if ports[0] != ports[1]:
        values = {"sent": str(ports[0] or "–"), "known": str(ports[1] or "–")}
        yield Text("The port is <code>%(sent)s</code>, not <code>%(known)s</code>.", values)
    yield from _path(sent.path, known.path)
    if sent.query != known.query:
        yield Text("The query differs.")
    if sent.fragment:
        yield Text("It has a fragment, which a redirect URI cannot have.")


def _path(sent: str, known: str) -> Iterator[Text]:
    bare = sent.rstrip("/"), known.rstrip("/")
    if bare[0].lower() != bare[1].lower():
        yield Text("The path differs.")
        return
    if bare[0] != bare[1]:
        yield Text("The path differs in upper and lower case.")
    if len(sent) > len(known):
        yield Text("It has a trailing slash.")
    if len(sent) < len(known):
        yield Text("The trailing slash is missing.")
