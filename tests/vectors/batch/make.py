#!/usr/bin/python3
"""Computes cases.json from the text of docs/batch.md alone, with hashlib and struct: no code of libatls."""
import hashlib
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent


def sha512(*parts):
    return hashlib.sha512(b"".join(parts)).digest()


def kat(i):
    """Stands for a KAT: a tree does not look into them. They grow, so that no two are of one length."""
    return b"\xd9\x02\x59" + hashlib.sha256(b"KAT %d" % i).digest() + bytes(i % 251)


def levels(kats):
    """Leaves first, root last; every level is whole."""
    depth = (len(kats) - 1).bit_length()
    level = [sha512(b"\x00", struct.pack(">I", i), kats[i]) if i < len(kats) else sha512(b"\x03", struct.pack(">I", i))
             for i in range(2 ** depth)]
    out = [level]
    while len(level) > 1:
        level = [sha512(b"\x01", level[i], level[i + 1]) for i in range(0, len(level), 2)]
        out.append(level)
    return out


def challenge(tree):
    return sha512(b"\x02", b"atls batch 1", struct.pack("B", len(tree) - 1), tree[-1][0])


def head(major, value):
    if value < 24:
        return struct.pack("B", major << 5 | value)
    if value < 256:
        return struct.pack("BB", major << 5 | 24, value)
    return struct.pack(">BH", major << 5 | 25, value)


def byte_string(data):
    return head(2, len(data)) + data


def member(tree, kats, index):
    siblings = [tree[d][(index >> d) ^ 1] for d in range(len(tree) - 1)]
    return (head(4, 3) + byte_string(kats[index]) + head(0, index) + head(4, len(siblings)) +
            b"".join(byte_string(s) for s in siblings))


def case(count, shown):
    kats = [kat(i) for i in range(count)]
    tree = levels(kats)
    return {"count": count, "depth": len(tree) - 1, "root": tree[-1][0].hex(), "challenge": challenge(tree).hex(),
            "members": [{"index": i, "kat": kats[i].hex(), "member": member(tree, kats, i).hex()} for i in shown]}


def cases():
    whole = [case(n, range(n)) for n in (1, 2, 3, 4, 5, 8)]
    return whole + [case(24 + 1, (0, 23, 24)), case(257, (0, 255, 256)), case(1024, (0, 511, 1023))]


if __name__ == "__main__":
    (HERE / "cases.json").write_text(json.dumps(cases(), indent=1) + "\n")
