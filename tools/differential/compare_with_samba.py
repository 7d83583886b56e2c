#!/usr/bin/python3
"""Asks Samba and this project the same questions and compares the answers.

usage: compare_with_samba.py PATH-TO-differ [--cases N] [--seed N]

Needs python3-samba. Differences that are explained are counted under their name (docs/access-control-differences.md
says who is right); any other one is printed, and the exit status is 1.
"""

import argparse
import collections
import random
import re
import struct
import subprocess
import sys

from samba import NTSTATUSError
from samba import security as samba_security
from samba.dcerpc import security
from samba.ndr import ndr_pack, ndr_unpack

SYSTEM_SECURITY = 0x01000000
MAXIMUM = 0x02000000
DOMAIN = "S-1-5-21-1-2-3"
POOL = [
    "S-1-1-0", "S-1-3-0", "S-1-3-1", "S-1-3-4", "S-1-5-11", "S-1-5-18", "S-1-5-32-544", "S-1-5-32-545",
    "S-1-5-7", "S-1-22-1-1000", "S-1-22-2-1000",
] + [DOMAIN + "-%d" % rid for rid in range(1000, 1010)]


def samba_privilege_bits():
    """Samba keeps privileges as bits in an order of its own."""
    return {8: security.SEC_PRIV_SECURITY_BIT, 9: security.SEC_PRIV_TAKE_OWNERSHIP_BIT,
            17: security.SEC_PRIV_BACKUP_BIT, 18: security.SEC_PRIV_RESTORE_BIT}


def mask(rng):
    kind = rng.randrange(6)
    if kind == 0:
        return 1 << rng.randrange(21)
    if kind == 1:
        return rng.choice([0x1F01FF, 0x120089, 0x120116, 0x1200A0, 0x60000, 0x80000])
    if kind == 2:
        return rng.getrandbits(32) & 0x0CFFFFFF
    return rng.getrandbits(21)


def sid_bytes(text):
    parts = text.split("-")
    subs = [int(part) for part in parts[3:]]
    return struct.pack(">BBHI", 1, len(subs), 0, int(parts[2])) + struct.pack("<%dI" % len(subs), *subs)


def ace_bytes(rng):
    kind = rng.choice([0, 0, 0, 0, 1, 1, 1, 2, 5, 6])
    flags = rng.choice([0, 0, 0, 0, 8, 0x10, 3, 0xB])
    extra = b""
    if kind in (5, 6):
        # Without GUIDs; what GUIDs mean without an object tree is another question.
        extra = struct.pack("<I", 0)
    body = struct.pack("<I", mask(rng)) + extra + sid_bytes(rng.choice(POOL))
    return struct.pack("<BBH", kind, flags, 4 + len(body)) + body


def descriptor_bytes(rng):
    """A descriptor in Samba's layout: owner, group, DACL."""
    owner, group = sid_bytes(rng.choice(POOL)), sid_bytes(rng.choice(POOL))
    aces = [ace_bytes(rng) for _ in range(rng.randrange(9))]
    dacl = b"".join(aces)
    dacl = struct.pack("<BBHHH", 4, 0, 8 + len(dacl), len(aces), 0) + dacl
    control, shape = 0x8004, rng.randrange(40)
    dacl_at = 20 + len(owner) + len(group)
    if shape == 0:
        control, dacl, dacl_at = 0x8000, b"", 0
    elif shape == 1:
        dacl, dacl_at = b"", 0
    header = struct.pack("<BBHIIII", 1, 0, control, 20, 20 + len(owner), 0, dacl_at)
    return header + owner + group + dacl


def check_case(rng):
    raw = descriptor_bytes(rng)
    sids = rng.sample([sid for sid in POOL if sid not in ("S-1-3-4", "S-1-3-0", "S-1-3-1")], rng.randrange(1, 6))
    privileges = [p for p in (8, 9) if rng.randrange(6) == 0]
    desired = rng.choice([mask(rng), mask(rng) & mask(rng), 1 << rng.randrange(21), MAXIMUM, MAXIMUM | mask(rng)])
    if rng.randrange(12) == 0:
        desired |= SYSTEM_SECURITY
    return raw, sids, privileges, desired


def ask_samba(case):
    raw, sids, privileges, desired = case
    sd = ndr_unpack(security.descriptor, raw)
    token = security.token()
    token.sids = [security.dom_sid(sid) for sid in sids]
    token.num_sids = len(sids)
    bits = samba_privilege_bits()
    token.privilege_mask = 0
    for privilege in privileges:
        token.privilege_mask |= bits[privilege]
    try:
        return "ok %x" % samba_security.access_check(sd, token, desired)
    except NTSTATUSError as error:
        return "denied" if error.args[0] in (0xC0000022, 0xC0000061) else "error %x" % error.args[0]


def without_object_types(raw):
    """The same descriptor with object entries that name no GUID written as plain ones."""
    dacl_at = struct.unpack_from("<I", raw, 16)[0]
    if not dacl_at:
        return raw
    revision, _, _, count, _ = struct.unpack_from("<BBHHH", raw, dacl_at)
    at, aces = dacl_at + 8, b""
    for _ in range(count):
        kind, flags, size = struct.unpack_from("<BBH", raw, at)
        body = raw[at + 4:at + size]
        if kind in (5, 6):
            kind, body = kind - 5, body[:4] + body[8:]
        aces += struct.pack("<BBH", kind, flags, 4 + len(body)) + body
        at += size
    return raw[:dacl_at] + struct.pack("<BBHHH", revision, 0, 8 + len(aces), count, 0) + aces


def explained(case, samba, ours):
    """The name of the reason why the answers differ; None if there is none.

    Each reason says exactly what the answers must be, so that it cannot hide another difference.
    """
    raw, sids, privileges, desired = case
    if not struct.unpack_from("<I", raw, 16)[0]:
        granted = desired & ~MAXIMUM | (0x1F01FF if desired & MAXIMUM else 0)
        refused = desired & SYSTEM_SECURITY and 8 not in privileges
        return "no-dacl" if ours == ("denied" if refused else "ok %x" % granted) else None
    plain = without_object_types(raw)
    if plain != raw:
        samba = ask_samba((plain, sids, privileges, desired))
        if samba == ours:
            return "object-entry-without-guid"
    if desired == MAXIMUM and samba == "ok 0" and ours == "denied":
        return "maximum-of-nothing"
    if desired & MAXIMUM and 9 in privileges and samba.startswith("ok") and ours.startswith("ok"):
        if int(ours[3:], 16) == int(samba[3:], 16) | 0x80000:
            return "maximum-and-take-ownership"
    return None


def exchange(differ, questions):
    done = subprocess.run([differ], input="\n".join(questions) + "\n", capture_output=True, text=True, check=True)
    answers = done.stdout.split("\n")[: len(questions)]
    assert len(answers) == len(questions), "a question went unanswered"
    return answers


def run_checks(differ, rng, count, report):
    cases = [check_case(rng) for _ in range(count)]
    questions = [
        "check\t%s\t%s\t%s\t%s\t%x\t0" % (raw.hex(), sids[0], ",".join(sids[1:]), ",".join(map(str, privileges)), desired)
        for raw, sids, privileges, desired in cases
    ]
    for case, question, ours in zip(cases, questions, exchange(differ, questions)):
        samba = ask_samba(case)
        if samba != ours:
            report(explained(case, samba, ours), "samba %s, ours %s: %s" % (samba, ours, question))


SDDL_SIDS = ["WD", "CO", "CG", "OW", "NU", "IU", "SU", "AN", "ED", "PS", "AU", "RC", "SY", "LS", "NS", "BA", "BU",
             "BG", "PU", "AO", "SO", "PO", "BO", "RE", "RU", "RD", "NO", "DA", "DG", "DU", "DD", "DC", "SA", "EA",
             "CA", "PA", "RS", "LA", "LG", "S-1-5-32-544", "S-1-22-1-77", DOMAIN + "-4321", "S-1-16-8192"]
SDDL_BITS = ["GA", "GR", "GW", "GX", "CC", "DC", "LC", "SW", "RP", "WP", "DT", "LO", "CR", "SD", "RC", "WD", "WO"]
# Samba 4.17 has no words for the rights of keys, and other masks than Windows for those of files.
WHOLE_MASK = re.compile(r"\([A-Z]+;[A-Z]*;[FK][ARWX];")
GUIDS = ["", "", "bf967aba-0de6-11d0-a285-00aa003049e2", "00299570-246d-11d0-a768-00aa006e0529"]


def sddl_ace(rng, sacl):
    kind = rng.choice(["AU", "OU", "AL"] if sacl else ["A", "D", "OA", "OD"])
    flags = "".join(f for f in ["OI", "CI", "NP", "IO", "ID"] if rng.randrange(4) == 0)
    if sacl:
        flags += rng.choice(["SA", "FA", "SAFA"])
    if rng.randrange(3):
        rights = "".join(rng.sample(SDDL_BITS, rng.randrange(1, 6)))
    else:
        # Samba knows FA and its like by other masks, and of numbers only hexadecimal ones.
        rights = "0x%x" % rng.getrandbits(32)
    guids = ";".join([rng.choice(GUIDS), rng.choice(GUIDS)] if kind[0] == "O" else ["", ""])
    return "(%s;%s;%s;%s;%s)" % (kind, flags, rights, guids, rng.choice(SDDL_SIDS))


def sddl_text(rng):
    text = "O:%sG:%s" % (rng.choice(SDDL_SIDS), rng.choice(SDDL_SIDS))
    for sacl in (False, True):
        if rng.randrange(4) == 0 and sacl:
            continue
        text += "S:" if sacl else "D:"
        text += rng.choice(["", "P", "AI", "AR", "PAI"])
        text += "".join(sddl_ace(rng, sacl) for _ in range(rng.randrange(1, 5)))
    return text


def canonical(raw):
    """What Samba packs, with the one revision that it gives every list it reads from text."""
    sd = ndr_unpack(security.descriptor, raw)
    for part in (sd.dacl, sd.sacl):
        if part is not None:
            part.revision = 4
    return ndr_pack(sd)


def run_sddl(differ, rng, count, report):
    """The same text must mean the same, and what one writes the other must read as the same."""
    domain = security.dom_sid(DOMAIN)
    texts = [sddl_text(rng) for _ in range(count)]
    packed = [ndr_pack(security.descriptor.from_sddl(text, domain)) for text in texts]
    parsed = exchange(differ, ["parse\t%s\t%s" % (text, DOMAIN) for text in texts])
    printed = exchange(differ, ["print\t%s\t%s" % (raw.hex(), DOMAIN) for raw in packed])
    samba_texts = [ndr_unpack(security.descriptor, raw).as_sddl(domain) for raw in packed]
    reparsed = exchange(differ, ["parse\t%s\t%s" % (text, DOMAIN) for text in samba_texts])
    for text, raw, ours, written, again in zip(texts, packed, parsed, printed, reparsed):
        try:
            if canonical(bytes.fromhex(ours)) != raw:
                report(None, "read differently: %s" % text)
            if canonical(bytes.fromhex(again)) != raw:
                report(None, "Samba's text read differently: %s" % text)
            if WHOLE_MASK.search(written):
                report("words-for-whole-masks", "")
            elif ndr_pack(security.descriptor.from_sddl(written, domain)) != raw:
                report(None, "our text read differently: %s -> %s" % (text, written))
        except (ValueError, TypeError, NTSTATUSError) as error:
            report(None, "%r: %s -> %s | %s | %s" % (error, text, ours, written, again))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("differ")
    parser.add_argument("--cases", type=int, default=200000)
    parser.add_argument("--texts", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args()
    print("seed %d" % options.seed)
    rng = random.Random(options.seed)
    counts = collections.Counter()
    unexplained = []

    def report(reason, text):
        counts[reason or "UNEXPLAINED"] += 1
        if reason is None and len(unexplained) < 20:
            unexplained.append(text)

    done = 0
    while done < options.cases:
        size = min(20000, options.cases - done)
        run_checks(options.differ, rng, size, report)
        done += size
    print("%d access checks" % done)
    for _ in range(options.texts // 10000):
        run_sddl(options.differ, rng, 10000, report)
    print("%d descriptors as text" % (options.texts // 10000 * 10000))
    for reason, count in sorted(counts.items()):
        print("  %8d %s" % (count, reason))
    for text in unexplained:
        print(text)
    return 1 if counts["UNEXPLAINED"] else 0


if __name__ == "__main__":
    sys.exit(main())
