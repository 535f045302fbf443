"""Draw the diagrams of the manual: `python docs/pictures/draw.py` writes the SVG files next to it.

The pictures of the refresh policies are made from `ALL_POLICIES`. So a new policy gets a picture,
and no picture says what the server doesn't do. `tests/test_pictures.py` compares the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, zip_longest
from pathlib import Path
from textwrap import wrap
from typing import Final
from xml.sax.saxutils import escape

from fake_oauth import ALL_POLICIES, RefreshPolicy

WIDTH: Final = 800
END: Final = WIDTH - 20
ACCESS: Final = "access tokens"
# The x of each event, by the number of events.
PLACES: Final = {
    2: (130, 380),
    3: (130, 310, 540),
    4: (130, 250, 420, 620),
    5: (130, 225, 360, 495, 655),
}
STYLE: Final = """
svg { color-scheme: light dark; }
.paper { fill: #ffffff; }
.ink { fill: #1f2328; }
.quiet { fill: #59636e; }
.title { font-size: 17px; font-weight: 600; }
.strong { font-size: 13px; font-weight: 600; }
.small { font-size: 13px; }
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
.line { stroke: #59636e; fill: none; stroke-width: 1.5; }
.dots { stroke: #818b98; fill: none; stroke-dasharray: 2 4; }
.gone { stroke: #59636e; fill: none; stroke-width: 2; stroke-dasharray: 7 5; }
.end { stroke: #d1242f; fill: none; stroke-width: 3; }
.bad { fill: #d1242f; }
.valid { fill: #0969da; }
.access { fill: #1a7f37; }
.grace { fill: #fff8c5; stroke: #9a6700; stroke-width: 1.5; }
.box { fill: #f6f8fa; stroke: #59636e; stroke-width: 1.5; }
.inverse { fill: #ffffff; }
.amber { fill: #7d4e00; }
.head { fill: #59636e; }
@media (prefers-color-scheme: dark) {
  .paper { fill: #0d1117; }
  .ink { fill: #f0f6fc; }
  .quiet, .head { fill: #9198a1; }
  .line, .gone { stroke: #9198a1; }
  .dots { stroke: #656c76; }
  .end { stroke: #ff7b72; }
  .bad { fill: #ff7b72; }
  .valid { fill: #79c0ff; }
  .access { fill: #56d364; }
  .grace { fill: #341a00; stroke: #d29922; }
  .box { fill: #151b23; stroke: #9198a1; }
  .inverse { fill: #0d1117; }
  .amber { fill: #e3b341; }
}
"""
# The width of an average character, of a font of size 1, in the widest of the fonts.
CHARACTER: Final = {"title": 17 * 0.6, "strong": 13 * 0.6, "small": 13 * 0.56}


@dataclass(slots=True)
class Picture:
    """An SVG that grows downward. Text that doesn't fit is an error."""

    title: str
    description: str
    width: int = WIDTH
    parts: list[str] = field(default_factory=list)

    def text(
        self, x: float, y: float, text: str, room: float, style: str = "small ink", anchor: str = ""
    ) -> None:
        needed = len(text) * CHARACTER[style.split(maxsplit=1)[0]]
        if needed > room + 0.5:
            raise ValueError(f"{self.title}: {text!r} needs {needed:.0f} of {room:.0f}")
        at = f' text-anchor="{anchor}"' if anchor else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{style}"{at}>{escape(text)}</text>')

    def paragraph(
        self, x: float, y: float, text: str, room: float, style: str = "small ink"
    ) -> float:
        """Write text in lines. Return the y below the last line."""
        for line in wrap(text, int(room / CHARACTER[style.split(maxsplit=1)[0]])):
            self.text(x, y, line, room, style)
            y += 18
        return y

    def box(self, x: float, y: float, width: float, height: float, style: str) -> None:
        size = f'width="{width:g}" height="{height:g}"'
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" {size} rx="4" class="{style}"/>')

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str = "line") -> None:
        ends = f'x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
        self.parts.append(f'<line {ends} class="{style}"/>')

    def arrow(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draw a horizontal or vertical line with a head at its end."""
        self.line(x1, y1, x2, y2)
        if y1 == y2:
            back = -8 if x2 > x1 else 8
            head = f"{x2:g},{y2:g} {x2 + back:g},{y2 - 5:g} {x2 + back:g},{y2 + 5:g}"
        else:
            back = -8 if y2 > y1 else 8
            head = f"{x2:g},{y2:g} {x2 - 5:g},{y2 + back:g} {x2 + 5:g},{y2 + back:g}"
        self.parts.append(f'<polygon points="{head}" class="head"/>')

    def cross(self, x: float, y: float) -> None:
        self.line(x - 6, y - 6, x + 6, y + 6, "end")
        self.line(x - 6, y + 6, x + 6, y - 6, "end")

    def svg(self, height: float) -> str:
        size = f'viewBox="0 0 {self.width} {height:g}" width="{self.width}" height="{height:g}"'
        names = 'role="img" aria-labelledby="title desc"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} {names}>',
                f'<title id="title">{escape(self.title)}</title>',
                f'<desc id="desc">{escape(self.description)}</desc>',
                f"<style>{STYLE}</style>",
                f'<rect width="{self.width}" height="{height:g}" rx="8" class="paper"/>',
                *self.parts,
                "</svg>\n",
            ]
        )


def span(seconds: float) -> str:
    """Return a time in the largest unit that shows it as a whole number."""
    for unit, name in ((365 * 86400, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds % unit == 0 and seconds >= 2 * unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} seconds"


# What a policy does, in words


def has_grace(policy: RefreshPolicy) -> bool:
    return bool(policy.grace_seconds) or policy.until_successor_used


def at_early_refresh(policy: RefreshPolicy) -> str:
    token = "has r1 again" if policy.return_unchanged else "has no refresh token"
    text = f"r1 is younger than {span(policy.rotate_after_seconds)}. The response {token}."
    return f"{text} Earlier access tokens end." if policy.end_old_access_tokens else text


def at_refresh(policy: RefreshPolicy) -> str:
    if policy.rotate:
        then = "stays valid" if policy.keep_old else "is rotated"
        text = f"The response has a new token, r2. The token r1 {then}."
        if policy.rotate_after_seconds:
            text = f"r1 is {span(policy.rotate_after_seconds)} old. {text}"
    elif not policy.return_unchanged:
        text = "The response has no refresh token. The token r1 stays valid."
    else:
        text = "The response has r1 again."
    return f"{text} Earlier access tokens end." if policy.end_old_access_tokens else text


def at_old_token(policy: RefreshPolicy) -> str:
    text = "r1 is presented again. The response has another new token, r3. All are valid."
    return f"{text} Earlier access tokens end." if policy.end_old_access_tokens else text


def in_grace(policy: RefreshPolicy) -> str:
    token = {
        "successor": "r2 again",
        "sibling": "another new token, r3",
        "access_token": "no refresh token",
    }[policy.grace_gives]
    when = []
    if policy.grace_seconds and not (policy.until_successor_used and not policy.grace_after_use):
        when.append(f"within {span(policy.grace_seconds)}")
    if policy.grace_after_use:
        when.append("even if r2 was used")
    else:
        when.append("before r2 is used")
    text = f"r1 is presented again, {', '.join(when)}. The response has {token}."
    return f"{text} Earlier access tokens end." if policy.end_old_access_tokens else text


def at_replay(policy: RefreshPolicy) -> str:
    when = ""
    if policy.until_successor_used:
        when = " later and after r2 was used" if policy.grace_after_use else " after r2 was used"
    elif policy.grace_seconds:
        when = " later" if policy.grace_after_use else " later, or after r2 was used"
    if policy.on_replay == "refuse":
        return f"r1 is presented again{when}. The server refuses r1. All other tokens stay valid."
    rest = "with all" if policy.revoke_access_tokens else "but no"
    return f"r1 is presented again{when}. The server revokes the family, {rest} access tokens."


def at_limit(policy: RefreshPolicy) -> str:
    rest = "with all" if policy.revoke_access_tokens else "but no"
    most = policy.max_families
    return (
        f"If a user has {most} families with a client, another login revokes the oldest, {rest} "
        "access tokens."
    )


def at_expiry(policy: RefreshPolicy) -> str:
    idle, absolute = policy.idle_seconds, policy.absolute_seconds
    if policy.keep_old and idle is not None:
        end = f"Each refresh token ends {span(idle)} after it was issued"
        return end + (
            "." if absolute is None else f", and {span(absolute)} after the login at the latest."
        )
    if absolute is not None and (idle is None or idle >= absolute):
        return f"The family ends {span(absolute)} after the login, used or not."
    if idle is not None:
        end = f"The family ends {span(idle)} after its last refresh"
        return end + (
            "." if absolute is None else f", and {span(absolute)} after the login at the latest."
        )
    if policy.rotate:
        return "Each refresh token lives for refresh_token_seconds after it was issued."
    if policy.sliding:
        return "r1 lives for refresh_token_seconds after its last refresh."
    return "r1 lives for refresh_token_seconds after the login. A refresh doesn't change that."


@dataclass(frozen=True, slots=True)
class Event:
    x: float
    name: str
    text: str


def events(policy: RefreshPolicy) -> list[Event]:
    """Return what happens in the life of a family under a policy, from left to right."""
    found = [("Login", "The server issues r1.")]
    if policy.rotate_after_seconds:
        found.append(("Early refresh", at_early_refresh(policy)))
    found.append(("Refresh", at_refresh(policy)))
    if policy.keep_old:
        found.append(("Old token again", at_old_token(policy)))
    elif policy.rotate:
        if has_grace(policy):
            found.append(("Replay in the grace period", in_grace(policy)))
        found.append(("Replay", at_replay(policy)))
    places = PLACES[len(found)]
    return [Event(x, *texts) for x, texts in zip(places, found, strict=True)]


@dataclass(slots=True)
class Panel:
    """The life of a token family under a policy: a lane for each token, from left to right."""

    picture: Picture
    policy: RefreshPolicy
    top: float
    events: list[Event] = field(init=False)
    middle: dict[str, float] = field(init=False)
    """The y of each lane."""

    def __post_init__(self) -> None:
        self.events = events(self.policy)
        lanes = ["r1"]
        if self.policy.rotate:
            lanes.append("r2")
        is_sibling = has_grace(self.policy) and self.policy.grace_gives == "sibling"
        if is_sibling or self.policy.keep_old:
            lanes.append("r3")
        lanes.append(ACCESS)
        self.middle = {lane: self.top + 44 + 32 * row for row, lane in enumerate(lanes)}

    def draw(self) -> float:
        """Draw the panel. Return the y below."""
        bottom = self.top + 36 + 32 * len(self.middle)
        for event, room in self.columns():
            self.picture.line(event.x, self.top + 20, event.x, bottom, "dots")
            for row, line in enumerate(reversed(wrap(event.name, 16))):
                self.picture.text(event.x, self.top + 13 - row * 15, line, room, "strong ink")
        for lane, y in self.middle.items():
            self.picture.text(112, y + 5, lane, 104, "small quiet", "end")
        self.draw_refresh_tokens()
        self.draw_access_tokens()
        below = max(
            self.picture.paragraph(event.x, bottom + 22, event.text, min(room - 6, 280))
            for event, room in self.columns()
        )
        self.picture.text(112, below + 10, "Expiry", 104, "strong ink", "end")
        start = self.events[0].x
        below = self.picture.paragraph(start, below + 10, at_expiry(self.policy), END - start)
        if self.policy.max_families is not None:
            self.picture.text(112, below, "Limit", 104, "strong ink", "end")
            below = self.picture.paragraph(start, below, at_limit(self.policy), END - start)
        return below + 4

    def at(self, name: str) -> float:
        """Return the x of an event."""
        return next(event.x for event in self.events if event.name == name)

    def columns(self) -> Iterator[tuple[Event, float]]:
        """Yield each event with the room to the next one."""
        for event, after in zip_longest(self.events, self.events[1:]):
            yield event, (END if after is None else after.x) - event.x - 8

    def draw_refresh_tokens(self) -> None:
        start, refresh = self.events[0].x, self.at("Refresh")
        if not self.policy.rotate or self.policy.keep_old:
            self.draw_bar("r1", start, "valid until it expires")
            if self.policy.keep_old:
                self.draw_bar("r2", refresh, "valid until it expires")
                self.draw_bar("r3", self.events[-1].x, "valid until it expires")
            return
        self.draw_bar("r1", start, "valid", refresh)
        replay, y = self.events[-1].x, self.middle["r1"]
        if has_grace(self.policy):
            over = replay - 40
            self.picture.box(refresh, y - 10, over - refresh, 20, "grace")
            label = "rotated, in its grace period"
            self.picture.text(refresh + 8, y + 5, label, over - refresh - 16, "small amber")
        else:
            over = refresh
            self.picture.text(over + 10, y - 6, "rotated", replay - over, "small quiet")
        self.picture.line(over, y, replay - 12, y, "gone")
        self.picture.cross(replay, y)
        self.picture.text(replay + 12, y + 5, "invalid_grant", END - replay, "small bad")
        self.draw_bar("r2", refresh, "valid")
        if "r3" in self.middle:
            self.draw_bar("r3", self.at("Replay in the grace period"), "valid")

    def draw_access_tokens(self) -> None:
        starts = [self.events[0].x]
        if self.policy.end_old_access_tokens:
            starts += [event.x for event in self.events[1:] if event.name != "Replay"]
        for start, end in pairwise(starts):
            self.draw_bar(ACCESS, start, "valid", end - 16)
            self.picture.cross(end - 7, self.middle[ACCESS])
        self.draw_bar(ACCESS, starts[-1], "valid until they expire")

    def draw_bar(self, lane: str, start: float, label: str, stop: float | None = None) -> None:
        """Draw when the token of a lane is valid: up to `stop`, its revocation, or the end."""
        y, replay = self.middle[lane], self.events[-1].x
        is_revoked = self.policy.on_replay == "revoke" and (
            lane != ACCESS or self.policy.revoke_access_tokens
        )
        if stop is None and is_revoked:
            stop = replay - 12
            self.picture.cross(replay, y)
            self.picture.text(replay + 12, y + 5, "revoked", END - replay, "small bad")
        stop = END if stop is None else stop
        style = "access" if lane == ACCESS else "valid"
        self.picture.box(start, y - 10, stop - start, 20, style)
        self.picture.text(start + 8, y + 5, label, stop - start - 16, "small inverse")


def policy_picture(name: str, policy: RefreshPolicy) -> str:
    """Return the diagram of a policy: one panel, or one for each kind of client."""
    panels = [("", policy)]
    if policy.public is not None:
        panels = [("Confidential clients", policy), ("Public clients", policy.public)]
    words = []
    for clients, one in panels:
        steps = [f"{event.name}: {event.text}" for event in events(one)]
        words += [f"{clients}: " if clients else "", *steps, f"Expiry: {at_expiry(one)}"]
        words += [f"Limit: {at_limit(one)}"] if one.max_families is not None else []
    picture = Picture(f"Refresh policy {name}", " ".join(filter(None, words)))
    picture.text(20, 34, f"refresh_policy = “{name}”", 500, "title ink")
    y: float = 34
    for clients, one in panels:
        if clients:
            y += 34
            picture.text(20, y, clients, 400, "strong quiet")
        y = Panel(picture, one, y + 36).draw()
    return picture.svg(y + 8)


def life() -> str:
    """Return the states of a refresh token, and what leads from one to another."""
    picture = Picture(
        "How a refresh token lives",
        "A login issues a refresh token, which is valid. A refresh without rotation leaves it "
        "valid. A refresh with rotation issues the next token, and this one is rotated. In a "
        "grace period, a rotated token still works. After it, presenting the token is a replay: "
        "the server refuses it, and with some policies revokes the family. A valid token ends "
        "when it expires, or when the family is revoked.",
    )

    def state(x: float, y: float, name: str, lines: Sequence[str], style: str, ink: str) -> None:
        picture.box(x, y, 190, 76, style)
        picture.text(x + 95, y + 24, name, 186, f"strong {ink}", "middle")
        for row, line in enumerate(lines):
            picture.text(x + 95, y + 45 + 18 * row, line, 186, f"small {ink}", "middle")

    picture.text(20, 34, "How a refresh token lives", 500, "title ink")
    state(20, 110, "valid", ["a refresh returns", "new access tokens"], "valid", "inverse")
    in_grace = ["still works, because a", "response can be lost"]
    state(305, 110, "rotated, but in grace", in_grace, "grace", "amber")
    state(590, 110, "rotated", ["every use is a replay:", "invalid_grant"], "box", "ink")
    state(20, 270, "expired", ["invalid_grant:", "log in again"], "box", "ink")
    state(590, 270, "revoked", ["all tokens of the login:", "invalid_grant"], "box", "bad")
    picture.arrow(115, 70, 115, 108)
    picture.text(127, 86, "login", 100, "small quiet")
    picture.arrow(210, 148, 303, 148)
    picture.text(256, 138, "refresh", 90, "small quiet", "middle")
    picture.text(256, 168, "that rotates", 90, "small quiet", "middle")
    picture.arrow(495, 148, 588, 148)
    picture.text(541, 138, "time, or", 92, "small quiet", "middle")
    picture.text(541, 168, "r2 is used", 92, "small quiet", "middle")
    picture.arrow(115, 186, 115, 268)
    picture.text(127, 222, "lifetime, idle time, or", 180, "small quiet")
    picture.text(127, 240, "absolute time is over", 180, "small quiet")
    picture.arrow(685, 186, 685, 268)
    picture.text(673, 222, "replay, if the policy", 160, "small quiet", "end")
    picture.text(673, 240, "revokes families", 160, "small quiet", "end")
    picture.arrow(330, 308, 588, 308)
    picture.text(459, 298, "from every state: revocation,", 250, "small quiet", "middle")
    picture.text(459, 328, "logout, an administrator", 250, "small quiet", "middle")
    return picture.svg(370)


@dataclass(frozen=True, slots=True)
class Message:
    """An arrow of a sequence diagram: to the right is a request, to the left a response."""

    text: str
    to_server: bool
    is_lost: bool = False


def sequence(
    picture: Picture, left: float, top: float, title: str, steps: Sequence[Message | str]
) -> float:
    """Draw the messages between a client and a server. A text is what the server does."""
    client, server = left + 40, left + 320
    picture.text(left, top, title, 380, "strong ink")
    y = top + 22
    for x, name in ((client, "client"), (server, "server")):
        picture.box(x - 40, y, 80, 28, "box")
        picture.text(x, y + 19, name, 76, "strong ink", "middle")
    first, y = y + 28, y + 28
    for step in steps:
        if isinstance(step, str):
            y += 26
            picture.text(server - 10, y, step, 260, "small quiet", "end")
            y += 2
            continue
        y += 44
        start, stop = (client, server) if step.to_server else (server, client)
        picture.text((client + server) / 2, y - 8, step.text, 260, "small ink", "middle")
        if step.is_lost:
            middle = client + 24
            picture.line(start, y, middle, y)
            picture.cross(middle, y)
        else:
            picture.arrow(start, y, stop, y)
    y += 20
    picture.line(client, first, client, y, "dots")
    picture.line(server, first, server, y, "dots")
    return y


def lost_response() -> str:
    """Return the two ways in which a lost response can end, next to each other."""
    picture = Picture(
        "A lost response",
        "The client refreshes with r1. The server rotates r1 to r2, and the response is lost. With "
        "a grace period, the client presents r1 again and gets r3. Without one, r1 is a replay: "
        "the server revokes the family, and the user has to log in again.",
    )
    picture.text(20, 34, "A lost response", 500, "title ink")
    begin: list[Message | str] = [
        Message("refresh with r1", to_server=True),
        "rotates r1",
        Message("r2: the response is lost", to_server=False, is_lost=True),
        Message("refresh with r1 again", to_server=True),
    ]
    with_grace = [
        *begin,
        "r1 is in its grace period",
        Message("200: r3", to_server=False),
        Message("next refresh with r3", to_server=True),
    ]
    without = [
        *begin,
        "a replay: revokes the family",
        Message("400 invalid_grant", to_server=False),
    ]
    y = sequence(picture, 20, 74, "With a grace period", with_grace)
    right = sequence(picture, 420, 74, "Without a grace period", without)
    picture.text(425, right + 24, "The user has to log in again.", 360, "strong bad")
    return picture.svg(max(y, right + 24) + 20)


def pictures() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each SVG file."""
    yield "life.svg", life()
    yield "lost-response.svg", lost_response()
    for name, policy in ALL_POLICIES.items():
        yield f"policy-{name}.svg", policy_picture(name, policy)


if __name__ == "__main__":
    for name, text in pictures():
        (Path(__file__).parent / name).write_text(text, encoding="utf-8")
