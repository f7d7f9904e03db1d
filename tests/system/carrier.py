"""Frames of the carrier atls/1 (docs/carrier.md), as far as one comes without evidence: a peer of a test that stalls
where it likes."""
import os

HELLO, REQUEST, AUTHENTICATOR, DECLINE, VERDICT, DATA, CLOSE = range(1, 8)
ATTESTS, REQUIRES = 1, 2
CLIENT, SERVER = 17, 13  # ClientCertificateRequest, CertificateRequest


def number(value, size):
    return value.to_bytes(size, "big")


def vector(data, size):
    return number(len(data), size) + data


def frame(kind, body):
    return bytes([kind]) + vector(body, 3)


def hello(flags):
    """Of somebody who has or takes evidence of these."""
    names = vector(vector(b"tpm", 1) + vector(b"soft", 1), 2)
    profiles = vector(vector(b"kat-bundle", 1), 2)
    parameters = [(1, names)] if flags & ATTESTS else []
    parameters += [(2, names)] if flags & REQUIRES else []
    parameters += [(3, profiles)] if flags else []
    return frame(HELLO, bytes([1, flags]) + vector(b"".join(number(n, 2) + vector(d, 2) for n, d in parameters), 2))


def request(role):
    schemes = number(13, 2) + vector(vector(number(0x0403, 2) + number(0x0807, 2), 2), 2)
    body = vector(os.urandom(32), 1) + vector(schemes + number(0xff00, 2) + number(0, 2), 2)
    return frame(REQUEST, number(1, 4) + bytes([role]) + vector(body, 3))


def accepts():
    return frame(VERDICT, number(1, 4) + number(0, 2) + vector(b"", 1))


def half(data):
    return data[:len(data) // 2]


def take(s, kind):
    """Reads until a frame of this kind has come whole; its body."""
    while True:
        head = exactly(s, 4)
        body = exactly(s, int.from_bytes(head[1:], "big"))
        if head[0] == kind:
            return body


def exactly(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise ConnectionError(f"the end after {len(data)} of {count} bytes")
        data += more
    return data
