"""What can be made to go wrong, and for which requests.

    base                                    a fault and its stages; a rule and its conditions
    refusals tokens responses connections   the faults, by stage
    authorization                           those in authorization responses
    kinds                                   KINDS: every fault by its name
    malformed                               MALFORMED: successes that a client must not accept
    script barrier                          which request uses which fault; which waits for which
    tables                                  rules in TOML and JSON

To add a fault, write its class in the module of its stage, list it in `KINDS` and below, give it a
case in `tests/test_faults.py`, and give it a row in `docs/reference/faults.md`; tests check all of
them. The names here are public. Each is imported when it is first used, because most tests script
no fault.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from fake_oauth.faults.authorization import MissingRedirectParameter as MissingRedirectParameter
    from fake_oauth.faults.authorization import RedirectParameter as RedirectParameter
    from fake_oauth.faults.authorization import WrongResponseMode as WrongResponseMode
    from fake_oauth.faults.base import Fault as Fault
    from fake_oauth.faults.base import Rule as Rule
    from fake_oauth.faults.connections import BadChunk as BadChunk
    from fake_oauth.faults.connections import Down as Down
    from fake_oauth.faults.connections import Drip as Drip
    from fake_oauth.faults.connections import Garbage as Garbage
    from fake_oauth.faults.connections import Hang as Hang
    from fake_oauth.faults.connections import HangUp as HangUp
    from fake_oauth.faults.connections import Reset as Reset
    from fake_oauth.faults.connections import Truncated as Truncated
    from fake_oauth.faults.kinds import KINDS as KINDS
    from fake_oauth.faults.malformed import MALFORMED as MALFORMED
    from fake_oauth.faults.malformed import Malformed as Malformed
    from fake_oauth.faults.refusals import Pass as Pass
    from fake_oauth.faults.refusals import Refuse as Refuse
    from fake_oauth.faults.refusals import Slow as Slow
    from fake_oauth.faults.refusals import Status as Status
    from fake_oauth.faults.responses import BrokenGzip as BrokenGzip
    from fake_oauth.faults.responses import ChallengeParameter as ChallengeParameter
    from fake_oauth.faults.responses import Change as Change
    from fake_oauth.faults.responses import Combined as Combined
    from fake_oauth.faults.responses import DuplicateKey as DuplicateKey
    from fake_oauth.faults.responses import EmptyBody as EmptyBody
    from fake_oauth.faults.responses import Field as Field
    from fake_oauth.faults.responses import HTMLBody as HTMLBody
    from fake_oauth.faults.responses import HugeBody as HugeBody
    from fake_oauth.faults.responses import MissingChallengeParameter as MissingChallengeParameter
    from fake_oauth.faults.responses import MissingField as MissingField
    from fake_oauth.faults.responses import NotJSONBody as NotJSONBody
    from fake_oauth.faults.responses import WrongCharset as WrongCharset
    from fake_oauth.faults.responses import WrongContentType as WrongContentType
    from fake_oauth.faults.tokens import AlgNone as AlgNone
    from fake_oauth.faults.tokens import BadSignature as BadSignature
    from fake_oauth.faults.tokens import Claim as Claim
    from fake_oauth.faults.tokens import Expired as Expired
    from fake_oauth.faults.tokens import HmacConfusion as HmacConfusion
    from fake_oauth.faults.tokens import MissingClaim as MissingClaim
    from fake_oauth.faults.tokens import NoKeyId as NoKeyId
    from fake_oauth.faults.tokens import NotYetValid as NotYetValid
    from fake_oauth.faults.tokens import UnknownKey as UnknownKey
    from fake_oauth.faults.tokens import WrongAudience as WrongAudience
    from fake_oauth.faults.tokens import WrongIssuer as WrongIssuer
    from fake_oauth.reply import Response as Response

# The public names that are not kinds of faults.
_MODULES: Final = {
    "Fault": "fake_oauth.faults.base",
    "Rule": "fake_oauth.faults.base",
    "KINDS": "fake_oauth.faults.kinds",
    "MALFORMED": "fake_oauth.faults.malformed",
    "Malformed": "fake_oauth.faults.malformed",
    "Response": "fake_oauth.reply",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    if name.startswith("_"):
        raise AttributeError(f"module 'fake_oauth.faults' has no attribute {name!r}")
    kinds = import_module("fake_oauth.faults.kinds").KINDS
    if name not in kinds:
        hint = import_module("fake_oauth.structure").suggestion(
            name, __dir__(), page="docs/reference/faults.md"
        )
        raise AttributeError(f"module 'fake_oauth.faults' has no attribute {name!r}; {hint}")
    return kinds[name]


def __dir__() -> list[str]:
    return [*_MODULES, *import_module("fake_oauth.faults.kinds").KINDS]
