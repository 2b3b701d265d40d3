#!/usr/bin/env python3
"""Whether the oracle notices: changed vectors must be reported, and the published examples must come out."""

import copy
import sys

import canonical
import curves
import play
import precedence
import strict_json
import vector
import xchacha
from policy import Policy


def other(text):
    """The text with its last letter or digit changed."""
    at = max(index for index, character in enumerate(text) if character.isalnum())
    return text[:at] + ("B" if text[at] == "A" else "A") + text[at + 1 :]


def _status(expect):
    expect["status"] = (expect.get("status") or 200) + 1


def _body(expect):
    expect["body"] = other(expect["body"]) if expect["body"] else "x"


def _receipt(expect):
    start = expect["body"].index("cs1_") + 4
    expect["body"] = expect["body"][:start] + other(expect["body"][start : start + 43]) + expect["body"][start + 43 :]


def _header_changed(expect):
    expect["headers"][0][1] += "x"


def _handed_on_changed(index):
    def change(expect):
        expect["handed_on"][index][1] = other(expect["handed_on"][index][1])

    return change


# Makes a vector one that is only played.
PLAIN = {"id": "changed", "flags": []}
# What is changed in an expectation, and where it can be.
CHANGES = {
    "another code": (lambda expect: expect.update(code=expect["code"] + "x"), lambda expect: True),
    "another status": (_status, lambda expect: True),
    "another byte of the body": (_body, lambda expect: True),
    "another receipt": (_receipt, lambda expect: "cs1_" in expect["body"]),
    "a header field with another value": (_header_changed, lambda expect: expect["headers"]),
    "a header field less": (lambda expect: expect["headers"].pop(), lambda expect: expect["headers"]),
    "a header field more": (lambda expect: expect["headers"].append(["x-more", "1"]), lambda expect: True),
    "not handed on": (lambda expect: expect.pop("handed_on"), lambda expect: "handed_on" in expect),
    "handed on": (lambda expect: expect.update(handed_on=[]), lambda expect: "handed_on" not in expect),
    "another attestation": (_handed_on_changed(0), lambda expect: expect.get("handed_on")),
    "another receipt handed on": (_handed_on_changed(3), lambda expect: expect.get("handed_on")),
    "a member that nobody knows": (lambda expect: expect.update(more=1), lambda expect: True),
}


def unnoticed():
    """Changes of expectations, and breaches mended, that the oracle does not report."""
    made, missed = 0, []
    for suite, _, document, group in vector.groups():
        policy = Policy(document, group["secrets"])
        for entry in group["vectors"]:
            for name, (change, applies) in CHANGES.items():
                changed = copy.deepcopy(entry)
                expect = changed["steps"][-1]["expect"]
                if applies(expect):
                    change(expect)
                    changed.update(PLAIN)
                    made += 1
                    if not play.check(suite, policy, changed):
                        missed.append(f"{entry['id']}: {name}")
            if entry["steps"][-1]["expect"]["code"] == "accepted" and "gate" == suite:
                made += 1
                if not play.check(suite, policy, _forged(entry)):
                    missed.append(f"{entry['id']}: a changed payload")
            if "precedence" in entry["flags"]:
                made += 1
                if not _problems_of_a_single_breach(suite, policy, entry):
                    missed.append(f"{entry['id']}: its later breach mended")
    return made, missed


def _problems_of_a_single_breach(suite, policy, entry):
    single = precedence.mended(policy, entry, precedence.breaches(entry["id"])[1:])
    return precedence.problems(policy, single, lambda mended: play.play(suite, policy, mended)[-1].code)


def _forged(entry):
    """The vector with another account in the last payload, under the same signature."""
    forged = copy.deepcopy(entry)
    forged.update(PLAIN)
    request = forged["steps"][-1]["request"]
    request["body"] = request["body"].replace("{", '{"account_id":"forged",', 1)
    return forged


def examples():
    """Published examples that do not come out."""
    hexadecimal = bytes.fromhex
    wrong = []
    # RFC 8032 §7.1, test 2.
    public = hexadecimal("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = hexadecimal(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    if not curves.eddsa(public, b"\x72", signature) or curves.eddsa(public, b"\x73", signature):
        wrong.append("Ed25519")
    # RFC 6979 §A.2.5, SHA-256, "sample".
    public = hexadecimal(
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    )
    signature = hexadecimal(
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
    )
    if not curves.es256(public, b"sample", signature) or curves.es256(public, b"simple", signature):
        wrong.append("P-256")
    # draft-irtf-cfrg-xchacha-03 §A.3.1.
    sealed = hexadecimal(
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39"
        "ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52e"
    )
    key, nonce = bytes(range(0x80, 0xA0)), bytes(range(0x40, 0x58))
    tag, associated = hexadecimal("c0875924c1c7987947deafd8780acf49"), hexadecimal("50515253c0c1c2c3c4c5c6c7")
    opened = xchacha.unseal(key, nonce, associated, sealed, tag) or b""
    if not opened.startswith(b"Ladies and Gentlemen") or xchacha.unseal(key, nonce, b"", sealed, tag) is not None:
        wrong.append("XChaCha20-Poly1305")
    # RFC 8785 §3.2.2, with the one number that I-JSON refuses written exactly.
    document = (
        rb'{"numbers":[333333333.3333333,1E30,4.50,2e-3,0.000000000000000000000000001],'
        rb'"string":"\u20ac$\u000F\u000aA\u0027\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}'
    )
    wanted = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )
    if canonical.write(strict_json.read(document)).decode() != wanted:
        wrong.append(f"RFC 8785: {canonical.write(strict_json.read(document)).decode()}")
    return wrong


def main():
    made, missed = unnoticed()
    wrong = [f"not as published: {name}" for name in examples()]
    print("\n".join(missed[:20] + wrong))
    print(f"{made} changes made, {len(missed)} not noticed")
    sys.exit(1 if missed or wrong or made < 1000 else 0)


if __name__ == "__main__":
    main()
