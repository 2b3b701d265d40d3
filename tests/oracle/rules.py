"""Rules that are decided and that the vectors do not follow yet: one line each, True where the oracle applies it.

`play.py --decided NAME` tries one, `--decided ALL` all of them. Once the vectors follow a rule, set its line to True.
Once they follow all, take this file out, and what each `rules.…` in the code has against the decision.
"""

# Fallback duplicates are told by `ts_event`; money is part of the identity; the verdict on an event id stays.
FALLBACK_BY_TS_EVENT = True
# What is known already is answered before the quota is asked, and spends none of it.
KNOWN_BEFORE_QUOTA = True
# An event that nobody knows and that is older than what is remembered is `event_too_old`.
FRESHNESS = True
# What an upstream vouches for, and which of its answers leave the outcome unknown; answers name a duplicate in a field.
UPSTREAM_WORD = True
# `type` is an absolute URL.
ABSOLUTE_TYPE = True
# A refusal of what the sender itself sent tells its cause as `detail`.
DETAIL = True
# At `/collect` what is wrong is the operator's: 503, and the inbox vouches for what it did not accept.
HOP_FAULTS = True
# Addresses in brackets; a bucket for each sender behind NAT64, 6to4 and Teredo.
ADDRESS = True
# A forwarded certificate is believed only where it can be read in one way.
CERTIFICATE = True
# A token's own claims are read strictly, and the rest of it is only skipped.
TOKEN = True
# The hint of a refused signature speaks of its cause; numbers need be exact only where they are signed; svix-* fields.
SIGNATURE = True
# Identifiers that nobody filled in are refused by name; a click id of ours in another spelling is named as that.
IDENTIFIER = True

NAMES = [name for name in list(globals()) if name.isupper()]


def decide(names):
    """Applies these rules, or `ALL` of them."""
    for name in NAMES if "ALL" in names else names:
        assert name in NAMES, f"{name}: none of {NAMES}"
        globals()[name] = True
