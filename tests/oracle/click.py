"""Self-authenticating click ids, plain and sealed (components/core/src/click.rs)."""

import re

import identifier
import mac
import rules
import xchacha

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTHS = {"clk_": 44, "cls_": 92}
MACROS = ("{ }", "${ }", "[ ]", "< >", "% %", "# #", "__ __", "%7b %7d", "%5b %5d")


class NotOurs(Exception):
    """What is wrong with a click id; a cause of docs/answers.md."""


def _hint(key):
    return mac.tag(key, "countersign click hint v1")[0]


def _tag(key, claims):
    return mac.tag(key, "countersign click v1", claims)[:10]


def _encode(data):
    bits = int.from_bytes(data, "big")
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(8 * len(data) - 5, -1, -5))


def _decode(text):
    if any(character not in ALPHABET for character in text):
        raise NotOurs("click_alphabet")
    bits = 0
    for character in text:
        bits = bits << 5 | ALPHABET.index(character)
    return bits.to_bytes(5 * len(text) // 8, "big")


def mint(key, minted_ms, random):
    """The plain id of an instant and eight random bytes."""
    claims = minted_ms.to_bytes(6, "big") + bytes([_hint(key)]) + random
    return "clk_" + _encode(claims + _tag(key, claims))


def is_macro(text):
    """Whether it is a placeholder that nobody filled in."""
    lower = text.lower()
    pairs = [macro.split() for macro in MACROS]
    return any(len(lower) > len(a + z) and lower.startswith(a) and lower.endswith(z) for a, z in pairs)


# Certain whatever is known of other trackers: refused even where no click id is verified.
CERTAIN = {"click_macro", "click_nothing", "click_case", "click_encoded", "click_quoted", "click_respelled"}


def inspect(keys, text):
    """The plain id of a click id that is ours; raises NotOurs."""
    if not rules.IDENTIFIER:
        if is_macro(text):
            raise NotOurs("click_macro")
        return _as_minted(keys, text)
    if identifier.is_nothing(text):
        raise NotOurs("click_nothing")
    if identifier.is_macro(text):
        raise NotOurs("click_macro")
    try:
        return _as_minted(keys, text)
    except NotOurs as error:
        if str(error) not in ("click_foreign", "click_alphabet"):
            raise
        raise NotOurs(_other_spelling(keys, text, str(error))) from None


def _other_spelling(keys, text, cause):
    """The cause of an id that is not spelled as ours are: perhaps it is ours all the same."""
    mended, is_bare = _mended(text)
    if mended is None:
        return cause
    try:
        _as_minted(keys, mended)
    except NotOurs as error:
        # Forty characters of anybody's may be an id of anybody's: only the tag tells.
        return cause if is_bare or cause == "click_alphabet" else str(error)
    if text.lower() == mended:
        return "click_case"
    if "%" in text:
        return "click_encoded"
    return "click_quoted" if identifier.unquoted(text).lower() == mended else "click_respelled"


def _mended(text):
    """The spelling in which an id was minted that claims to be ours, and whether only its length says so; or None."""
    for _ in range(2):
        text = identifier.percent_decoded(text) or text
    named = identifier.unquoted(text)
    lower = identifier.unquoted(re.split("[=:]", named)[-1]).lower()
    if lower[:4] in LENGTHS:
        return lower, False
    for prefix, length in LENGTHS.items():
        is_marked = lower.startswith(prefix[:3])
        digits = lower[3:].lstrip("-.+ ~") if is_marked else lower
        if len(digits) == length - 4 and not set(digits) - set(ALPHABET):
            return prefix + digits, not is_marked
    return None, False


def _as_minted(keys, text):
    """As `inspect`, for an id in the spelling in which it was minted."""
    prefix = text[:4]
    if prefix not in LENGTHS:
        raise NotOurs("click_foreign")
    kind = "click" if prefix == "clk_" else "sealed"
    length = len(text.encode())
    if length != LENGTHS[prefix]:
        raise NotOurs(f"{kind}_{'short' if length < LENGTHS[prefix] else 'long'}")
    data = _decode(text[4:])
    for key in keys:
        if prefix == "clk_" and data[6] == _hint(key.secret) and _tag(key.secret, data[:15]) == data[15:]:
            return text
        if prefix == "cls_" and data[0] == _hint(key.secret):
            seal = mac.tag(key.secret, "countersign click seal v1")
            bare = xchacha.unseal(seal, data[1:25], b"cls_" + data[:1], data[25:39], data[39:])
            if bare is not None:
                return mint(key.secret, int.from_bytes(bare[:6], "big"), bare[6:])
    raise NotOurs("click_forged")
