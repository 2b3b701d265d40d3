"""Vectors as data: `tests/vectors/<suite>/<group>.json` (tests/src/vector.rs)."""

import base64
import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
SUITES = ("gate", "hand_on", "inbox")


class Headers:
    """Header fields in order: names in lower case, values as bytes."""

    def __init__(self, fields):
        self.fields = [(name.lower(), to_bytes(value)) for name, value in fields]

    def all(self, name):
        return [value for field, value in self.fields if field == name.lower()]


class Wire:
    """A request as a connection carries it."""

    def __init__(self, request):
        self.method, self.path, self.peer = request["method"], request["path"], request["peer"]
        self.headers = Headers(request["headers"])
        self.body = to_bytes(request.get("body", ""))


def to_bytes(text):
    return base64.b64decode(text.removeprefix("base64:")) if text.startswith("base64:") else text.encode()


def groups(folder=FOLDER):
    """Suite, name, configuration document and content of every file."""
    found = []
    for suite in SUITES:
        for path in sorted((folder / suite).glob("*.json")):
            group = json.loads(path.read_text(encoding="utf-8"))
            document = json.loads((folder / "configs" / f"{group['config']}.json").read_text(encoding="utf-8"))
            found.append((suite, path.stem, document, group))
    return found
