"""The strict JSON reader: RFC 8259 with I-JSON (RFC 7493). docs/answers.md states the offsets of refusals."""

import re
from decimal import Decimal, InvalidOperation

BLANK = b" \t\n\r"
ESCAPES = {0x22: '"', 0x5C: "\\", 0x2F: "/", 0x62: "\b", 0x66: "\f", 0x6E: "\n", 0x72: "\r", 0x74: "\t"}
NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


class Malformed(Exception):
    """Where and why a document is refused; `problem` is a name of docs/answers.md."""

    def __init__(self, offset, problem):
        super().__init__(offset, problem)
        self.offset, self.problem = offset, problem


class Number:
    """A number as it was written."""

    def __init__(self, literal):
        self.literal = literal


def is_exact(literal):
    """Whether the number has the very value of the shortest text of its double (RFC 8785 §3.2.2.3)."""
    if not re.search("[1-9]", re.split("[eE]", literal)[0]):
        return True
    try:
        return Decimal(literal) == Decimal(repr(float(literal)))
    except InvalidOperation:
        return False


def utf16(name):
    """What names are sorted by (RFC 8785 §3.2.3)."""
    return name.encode("utf-16-be")


def is_noncharacter(point):
    return 0xFDD0 <= point <= 0xFDEF or point & 0xFFFE == 0xFFFE


class _Reader:
    def __init__(self, data, depth_max, nodes_max, exact):
        self.exact = exact
        self.data, self.at, self.depth, self.nodes = data, 0, 0, 0
        self.depth_max, self.nodes_max = depth_max, nodes_max

    def byte(self, at=None):
        at = self.at if at is None else at
        return self.data[at] if at < len(self.data) else None

    def unexpected(self, problem, at=None):
        at = self.at if at is None else at
        return Malformed(at, problem) if at < len(self.data) else Malformed(len(self.data), "end_of_input")

    def skip_blank(self):
        while self.at < len(self.data) and self.data[self.at] in BLANK:
            self.at += 1

    def count(self, start):
        self.nodes += 1
        if self.nodes > self.nodes_max:
            raise Malformed(start, "too_many_values")

    def document(self):
        if self.data.startswith(b"\xef\xbb\xbf"):
            raise Malformed(0, "byte_order_mark")
        self.skip_blank()
        value = self.value()
        self.skip_blank()
        if self.at < len(self.data):
            raise Malformed(self.at, "trailing_data")
        return value

    def value(self):
        start, byte = self.at, self.byte()
        if byte == 0x22:
            text = self.text()
            self.count(start)
            return text
        if byte is not None and (byte == 0x2D or 0x30 <= byte <= 0x39):
            number = self.number()
            self.count(start)
            return number
        if byte in (0x7B, 0x5B):
            if self.depth >= self.depth_max:
                raise Malformed(start, "too_deep")
            self.count(start)
            self.depth += 1
            self.at += 1
            self.skip_blank()
            value = self.object() if byte == 0x7B else self.array()
            self.depth -= 1
            return value
        for word, value in ((b"true", True), (b"false", False), (b"null", None)):
            if byte == word[0]:
                for letter in word:
                    if self.byte() != letter:
                        raise self.unexpected("value_expected")
                    self.at += 1
                self.count(start)
                return value
        raise self.unexpected("value_expected")

    def more(self, close):
        """Goes on behind a value: whether another one follows in the container."""
        self.skip_blank()
        if self.byte() == 0x2C:
            self.at += 1
            self.skip_blank()
            return True
        if self.byte() != close:
            raise self.unexpected("comma_expected")
        self.at += 1
        return False

    def array(self):
        elements = []
        if self.byte() == 0x5D:
            self.at += 1
            return elements
        while True:
            elements.append(self.value())
            if not self.more(0x5D):
                return elements

    def object(self):
        members, ordered, repeated, last = {}, True, None, None
        if self.byte() == 0x7D:
            self.at += 1
            return members
        while True:
            start = self.at
            if self.byte() != 0x22:
                raise self.unexpected("name_expected")
            name = self.text()
            self.count(start)
            if ordered and last == name:
                raise Malformed(start, "duplicate_member")
            ordered = ordered and (last is None or utf16(last) < utf16(name))
            if name in members and repeated is None:
                repeated = start
            last = name
            self.skip_blank()
            if self.byte() != 0x3A:
                raise self.unexpected("colon_expected")
            self.at += 1
            self.skip_blank()
            members[name] = self.value()
            if not self.more(0x7D):
                break
        if repeated is not None:
            raise Malformed(repeated, "duplicate_member")
        return members

    def number(self):
        match = NUMBER.match(self.data, self.at)
        after = match.end() if match else self.at + (self.byte() == 0x2D)
        rest = self.data[after : after + 1]
        if not match:
            raise self.unexpected("number_syntax", after)
        # What the number might go on with, and does not in the right way.
        if rest.isdigit():
            raise Malformed(after, "number_syntax")
        if rest == b"." and match[2] is None and match[3] is None:
            raise self.unexpected("number_syntax", after + 1)
        if rest in (b"e", b"E") and match[3] is None:
            sign = self.data[after + 1 : after + 2] in (b"+", b"-")
            raise self.unexpected("number_syntax", after + 1 + sign)
        literal = match[0].decode()
        if self.exact and not is_exact(literal):
            raise Malformed(self.at, "number_inexact")
        self.at = after
        return Number(literal)

    def text(self):
        """Reads a text from its opening quote to behind its closing one."""
        self.at += 1
        out = []
        while True:
            byte = self.byte()
            if byte is None:
                raise Malformed(len(self.data), "end_of_input")
            if byte == 0x22:
                self.at += 1
                return "".join(out)
            if byte == 0x5C:
                out.append(self.escape())
            elif byte < 0x20:
                raise Malformed(self.at, "control_character")
            else:
                out.append(self.character())

    def character(self):
        for length in range(1, 5):
            try:
                character = self.data[self.at : self.at + length].decode()
            except UnicodeDecodeError:
                continue
            if is_noncharacter(ord(character)):
                raise Malformed(self.at, "noncharacter")
            self.at += length
            return character
        raise Malformed(self.at, "not_utf8")

    def escape(self):
        start, letter = self.at, self.byte(self.at + 1)
        if letter is None:
            raise Malformed(len(self.data), "end_of_input")
        if letter in ESCAPES:
            self.at += 2
            return ESCAPES[letter]
        if letter != 0x75:
            raise Malformed(start, "unknown_escape")
        point = self.unit(start, start)
        if 0xD800 <= point < 0xDC00:
            behind = self.data[self.at : self.at + 2]
            if behind != b"\\u":
                cut = behind in (b"", b"\\") and self.at + len(behind) == len(self.data)
                raise Malformed(len(self.data), "end_of_input") if cut else Malformed(start, "lone_surrogate")
            low = self.unit(self.at, self.at)
            if not 0xDC00 <= low < 0xE000:
                raise Malformed(start, "lone_surrogate")
            point = 0x10000 + (point - 0xD800) * 0x400 + low - 0xDC00
        elif 0xDC00 <= point < 0xE000:
            raise Malformed(start, "lone_surrogate")
        if is_noncharacter(point):
            raise Malformed(start, "noncharacter")
        return chr(point)

    def unit(self, backslash, start):
        for at in range(start + 2, start + 6):
            if at >= len(self.data):
                raise Malformed(len(self.data), "end_of_input")
            if chr(self.data[at]) not in "0123456789abcdefABCDEF":
                raise Malformed(backslash, "unknown_escape")
        self.at = start + 6
        return int(self.data[start + 2 : start + 6], 16)


def read(data, depth_max=16, nodes_max=4096, exact=True):
    """The value of a document: dict, list, str, Number, bool or None. `exact`: a double must hold every number."""
    return _Reader(data, depth_max, nodes_max, exact).document()
