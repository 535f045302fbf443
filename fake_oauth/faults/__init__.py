"""What can be made to go wrong, and for which request.

    script                                     which request meets which fault, how often
    rule                                       plain values: the fault and its conditions
    refusals  tampering  damage  hangups       before the endpoint, in a token, in the reply, on the
                                               connection: a fault is a frozen value with one method
    seams                                      the four of them, and what a fault is given there
    kinds                                      KINDS: name → fault, the one table
    malformed                                  MALFORMED: successes that are none

The names below are all that is public.
"""

from fake_oauth.faults.damage import BrokenGzip as BrokenGzip
from fake_oauth.faults.damage import DuplicateKey as DuplicateKey
from fake_oauth.faults.damage import Empty as Empty
from fake_oauth.faults.damage import Field as Field
from fake_oauth.faults.damage import Html as Html
from fake_oauth.faults.damage import Huge as Huge
from fake_oauth.faults.damage import Missing as Missing
from fake_oauth.faults.damage import NotJSON as NotJSON
from fake_oauth.faults.damage import WrongCharset as WrongCharset
from fake_oauth.faults.damage import WrongContentType as WrongContentType
from fake_oauth.faults.hangups import BadChunk as BadChunk
from fake_oauth.faults.hangups import Down as Down
from fake_oauth.faults.hangups import Drip as Drip
from fake_oauth.faults.hangups import Garbage as Garbage
from fake_oauth.faults.hangups import Hang as Hang
from fake_oauth.faults.hangups import HangUp as HangUp
from fake_oauth.faults.hangups import Reset as Reset
from fake_oauth.faults.hangups import Truncated as Truncated
from fake_oauth.faults.kinds import KINDS as KINDS
from fake_oauth.faults.malformed import MALFORMED as MALFORMED
from fake_oauth.faults.malformed import Malformed as Malformed
from fake_oauth.faults.refusals import Ok as Ok
from fake_oauth.faults.refusals import Refuse as Refuse
from fake_oauth.faults.refusals import Slow as Slow
from fake_oauth.faults.refusals import Status as Status
from fake_oauth.faults.rule import Rule as Rule
from fake_oauth.faults.seams import Fault as Fault
from fake_oauth.faults.tampering import AlgNone as AlgNone
from fake_oauth.faults.tampering import BadSignature as BadSignature
from fake_oauth.faults.tampering import Claim as Claim
from fake_oauth.faults.tampering import Expired as Expired
from fake_oauth.faults.tampering import HmacConfusion as HmacConfusion
from fake_oauth.faults.tampering import NoClaim as NoClaim
from fake_oauth.faults.tampering import NoKeyId as NoKeyId
from fake_oauth.faults.tampering import NotYetValid as NotYetValid
from fake_oauth.faults.tampering import UnknownKey as UnknownKey
from fake_oauth.faults.tampering import WrongAudience as WrongAudience
from fake_oauth.faults.tampering import WrongIssuer as WrongIssuer

ok = Ok()
"""No fault: the request is served as ever."""
