"""Identifiers that nobody filled in: what a template or a program leaves in the place of an id."""

import re
import unicodedata
from urllib.parse import unquote_to_bytes

BYTES_MAX = 256
NOTHING = set(
    r"""null (null) nil (nil) <nil> %!s(<nil>) none undefined undef \n nan -nan (nan) nan(ind) -nan(ind) na n/a #n/a <na>
    (none) unknown - true false -1 {} [] () [null] array object optional.empty optional(nil)
    d41d8cd98f00b204e9800998ecf8427e da39a3ee5e6b4b0d3255bfef95601890afd80709
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855""".split()
) | {"(not set)", "[object object]", "[object undefined]", "[object null]"}
WRAPPERS = "{ } ${ } #{ } %{ } $( ) [ ] < > &lt; &gt; % % # # __ __ @@ @@ *| |*".split()
FORMATS = {"%s", "%d", "%i", "%u", "%v", "%@"}
NAMES = {"accountid", "clickid", "eventid", "installid", "originaleventid", "sessionid"}
QUOTES = "\"'`\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb"
UUID = re.compile(r"\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}")


def is_blank(character):
    invisible = "\u200b" <= character <= "\u200f" or character in "\u2060\ufeff"
    return character.isspace() or unicodedata.category(character) == "Cc" or invisible


def _trimmed(text, is_around):
    start, end = 0, len(text)
    while start < end and is_around(text[start]):
        start += 1
    while end > start and is_around(text[end - 1]):
        end -= 1
    return text[start:end]


def unquoted(text):
    """The text without the quotes and blanks around it, however many there are."""
    is_around = lambda character: is_blank(character) or character in QUOTES
    text = _trimmed(text, is_around)
    while True:
        for mark in ('\\"', "\\'", "&quot;", "&#34;", "&apos;", "&#39;"):
            if text.startswith(mark):
                text = text[len(mark) :]
                break
        else:
            # Of an escaped quote the quote is gone by then.
            for mark in ("\\", "&quot;", "&#34;", "&apos;", "&#39;"):
                if text.endswith(mark):
                    text = text[: -len(mark)]
                    break
            else:
                return text
        text = _trimmed(text, is_around)


def percent_decoded(text):
    """The text with its percent-encoding undone once, or None where it has none."""
    if not re.search("%[0-9A-Fa-f]{2}", text):
        return None
    data = unquote_to_bytes(text)
    try:
        return data.decode() if len(data) <= BYTES_MAX else None
    except UnicodeDecodeError:
        return None


def _spellings(text):
    once = percent_decoded(text)
    twice = percent_decoded(once) if once is not None else None
    return [one for one in (text, once, twice) if one is not None]


def _is_zero(text):
    digits = re.sub(r"\A(urn:uuid:|0x)", "", text, count=1, flags=re.IGNORECASE).strip("{}()")
    return "0" in digits and not set(digits) - set("0-+.: ")


def is_nothing(text):
    """Whether it is what programs print for nothing."""
    for one in _spellings(text):
        bare = unquoted(one)
        words = {bare.lower(), _trimmed(one, is_blank).lower()}
        if not bare or words & NOTHING or _is_zero(bare):
            return True
    return False


def _has_macro(text):
    for rest in text.split("{")[1:]:
        name, closed, _ = rest.partition("}")
        if closed and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]+", name) and not re.fullmatch(r"[0-9A-Fa-f-]+", name):
            return True
    return False


def is_macro(text):
    """Whether it is a template's macro that nobody replaced, has one in it, or is the name of a member."""
    for one in _spellings(text):
        pairs = zip(WRAPPERS[::2], WRAPPERS[1::2])
        wrapped = any(len(one) > len(a + z) and one.startswith(a) and one.endswith(z) for a, z in pairs)
        name = re.sub("[_-]", "", one.lstrip("$:@%!")).lower()
        if wrapped and not UUID.fullmatch(one) or _has_macro(one) or one in FORMATS or name in NAMES:
            return True
    return False


def problem(text):
    """What is wrong with an identifier, a name of docs/answers.md; or None."""
    is_blank_around = _trimmed(text, is_blank) != text or any(unicodedata.category(one) == "Cc" for one in text)
    if is_nothing(text):
        return "identifier_nothing"
    if is_blank_around:
        return "identifier_blanks"
    return "identifier_macro" if is_macro(text) else None
