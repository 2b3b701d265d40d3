"""What the documents state: the status of each code (docs/rejects.md), each text for senders (docs/answers.md)."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def _lines(page):
    return (DOCS / page).read_text(encoding="utf-8").splitlines()


def _statuses():
    rows = [re.match(r"\| \[(\w+)]\(#\w+\) \| (\d+) \|", line) for line in _lines("rejects.md")]
    return {row[1]: int(row[2]) for row in rows if row}


def _sections():
    """Each table of answers.md by its heading: a name such as `event_id` may stand in several."""
    sections, heading = {}, None
    for line in _lines("answers.md"):
        if line.startswith("## "):
            heading = line.removeprefix("## ").replace("`", "")
        row = re.fullmatch(r"\| `(\w+)` \| (.*) \|", line)
        if row:
            sections.setdefault(heading, {})[row[1]] = row[2]
    return sections


class _Table(dict):
    """A table of a document; a name that is not in it is the document's fault."""

    def __missing__(self, name):
        raise KeyError(f"{name} has no line in docs/answers.md or docs/rejects.md: write it there")


STATUS = _Table(_statuses())
_SECTIONS = _sections()
HINTS = _Table(_SECTIONS["Hints"])
MALFORMED = _Table(_SECTIONS["Details of payload_malformed"])
# Each problem of a payload, and each mistake behind a signature, has the same text as a cause.
CAUSES = _Table(HINTS | _SECTIONS["Causes"] | MALFORMED)
EVENT = _Table(_SECTIONS["Details of event_invalid"])
