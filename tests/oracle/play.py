#!/usr/bin/env python3
"""Plays every vector on the oracle and compares. Exit 0: all agree. `python3 tests/oracle/play.py --help`"""

import argparse
import collections
import sys
import traceback
from pathlib import Path

import host
import precedence
import rules
import vector
from policy import Policy
from store import Store

SHOWN_MAX = 20


def play(suite, policy, entry):
    """The oracle's answer to each step of a vector."""
    store = Store(policy, entry["comment"])
    answers = []
    for step in entry["steps"]:
        wire, upstream = vector.Wire(step["request"]), step.get("upstream", "ok")
        answers.append(host.answer(wire, policy, store, suite == "inbox", step["at_ms"], upstream))
    return answers


def differences(expect, answer):
    """What a step's expectation and the oracle's answer differ in: name, expectation, answer."""
    parts = ("code", "status", "headers", "body", "handed_on")
    pairs = [(part, expect.get(part), getattr(answer, part)) for part in parts]
    unknown = [(name, expect[name], None) for name in expect if name not in parts]
    return [pair for pair in pairs if pair[1] != pair[2]] + unknown


def disagreements(suite, policy, entry):
    """What the oracle says against a vector, a text for each thing."""
    texts = []
    for number, (step, answer) in enumerate(zip(entry["steps"], play(suite, policy, entry)), 1):
        for part, wanted, got in differences(step["expect"], answer):
            where = f"{entry['id']}, step {number} of {len(entry['steps'])}, {part}:"
            texts.append(f"{where}\n  vector {wanted}\n  oracle {got}")
    if "precedence" in entry["flags"]:
        texts += precedence.problems(policy, entry, lambda mended: play(suite, policy, mended)[-1].code)
    return texts


def check(suite, policy, entry):
    """As `disagreements`; an oracle that breaks on a vector disagrees with it."""
    try:
        return disagreements(suite, policy, entry)
    except Exception:
        return [f"{entry['id']}: the oracle broke\n{traceback.format_exc()}"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", nargs="?", type=Path, default=vector.FOLDER, help="the folder of the vectors")
    arguments.add_argument("--only", default="", help="play only vectors whose id contains this")
    arguments.add_argument("--decided", action="append", default=[], metavar="RULE", help="a rule of rules.py, or ALL")
    arguments = arguments.parse_args()
    rules.decide(arguments.decided)
    played, texts, groups = 0, [], collections.Counter()
    for suite, name, document, group in vector.groups(arguments.folder):
        policy = Policy(document, group["secrets"])
        for entry in group["vectors"]:
            if arguments.only in entry["id"]:
                found = check(suite, policy, entry)
                played, texts = played + 1, texts + found
                groups[f"{suite}/{name}"] += bool(found)
    for text in texts[:SHOWN_MAX]:
        print(text)
    if len(texts) > SHOWN_MAX:
        print(f"… and {len(texts) - SHOWN_MAX} more")
    for name, count in groups.items():
        if count:
            print(f"{name}: {count} vectors")
    print(f"{played} vectors played, {sum(groups.values())} disagree")
    sys.exit(1 if texts or not played else 0)


if __name__ == "__main__":
    main()
