"""Evidence of a software TPM in the form of the Parsec key attestation for TPM 2.0, and a CoRIM that
endorses it. Independent of the library on purpose: only the standard library, tpm2-tools and openssl."""
import base64
import hashlib
import os
import pathlib
import shutil
import subprocess
import time

import pytest

MEDIA_TYPE = "application/vnd.parallaxsecond.key-attestation.tpm"
PROFILE = "tag:github.com/parallaxsecond,2023-03-03:tpm"
CLASS = bytes.fromhex("31fb5abf023e4992aa4e95f9c1503bfa")
AK, IK = 0x81010002, 0x81010003
AK_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign"
IK_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
TPM_CC_CERTIFY, TPM_ST_SESSIONS, TPM_RS_PW, TPM_ALG_NULL = 0x148, 0x8002, 0x40000009, 0x10
TPM_RC_RETRY = 0x922
SHA256 = 1  # named information hash algorithm
BYTES_INSTANCE, UEID_INSTANCE = 560, 550


class Tag:
    def __init__(self, number, value):
        self.number, self.value = number, value


def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    width = next(w for w in (1, 2, 4, 8) if value < 1 << 8 * w)
    return bytes([major << 5 | 23 + width.bit_length()]) + value.to_bytes(width, "big")


def cbor(value):
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    if isinstance(value, dict):
        return head(5, len(value)) + b"".join(cbor(k) + cbor(v) for k, v in value.items())
    return head(6, value.number) + cbor(value.value)


def spki(pem):
    body = [line for line in pem.decode().splitlines() if line and not line.startswith("-")]
    return base64.b64decode("".join(body))


class Tpm:
    """A software TPM with an attestation key and an identity key, both persistent."""

    def __init__(self, directory):
        tools = ("swtpm", "tpm2_createprimary", "tpm2_evictcontrol", "tpm2_flushcontext", "tpm2_pcrextend",
                 "tpm2_pcrread", "tpm2_quote", "tpm2_readpublic", "tpm2_send")
        missing = [tool for tool in tools if shutil.which(tool) is None]
        if missing:
            pytest.skip("not installed: " + ", ".join(missing))
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True)
        self.socket = self.dir / "sock"
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.dir}", "--flags",
             "not-need-init,startup-clear", "--server", f"type=unixio,path={self.socket}",
             "--ctrl", f"type=unixio,path={self.socket}.ctrl"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not self.socket.exists():
            assert self.process.poll() is None and time.monotonic() < end, "swtpm did not start"
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def tool(self, *arguments, stdin=None):
        done = subprocess.run([str(a) for a in arguments], input=stdin, capture_output=True, timeout=60, check=False,
                              env={**os.environ, "TPM2TOOLS_TCTI": f"swtpm:path={self.socket}"})
        assert done.returncode == 0, (arguments, done.stderr.decode(errors="replace"))
        return done.stdout

    # No resource manager: what stays loaded takes one of three slots.
    def flush(self):
        self.tool("tpm2_flushcontext", "-t")

    def make_keys(self, ak="ecc256:ecdsa-sha256:null", ik="ecc256:ecdsa-sha256", ik_attributes=IK_ATTRIBUTES):
        for handle, hierarchy, kind, attributes in ((AK, "e", ak, AK_ATTRIBUTES), (IK, "o", ik, ik_attributes)):
            context = self.dir / "key.ctx"
            self.tool("tpm2_createprimary", "-C", hierarchy, "-g", "sha256", "-G", kind, "-a", attributes,
                      "-c", context)
            self.tool("tpm2_evictcontrol", "-C", "o", "-c", context, f"0x{handle:08x}")
            self.flush()

    def public(self, handle):
        """TPMT_PUBLIC octets and the PEM SubjectPublicKeyInfo of a key."""
        area, pem = self.dir / "public", self.dir / "public.pem"
        self.tool("tpm2_readpublic", "-c", f"0x{handle:08x}", "-o", area)
        self.tool("tpm2_readpublic", "-c", f"0x{handle:08x}", "-f", "pem", "-o", pem)
        return area.read_bytes()[2:], pem.read_bytes()

    def certify(self, qualifying):
        """TPM2_Certify of the identity key (Part 3, 18.2), as octets: tpm2_certify takes no qualifying data."""
        password = TPM_RS_PW.to_bytes(4, "big") + bytes(5)
        body = (IK.to_bytes(4, "big") + AK.to_bytes(4, "big") + (2 * len(password)).to_bytes(4, "big") +
                2 * password + len(qualifying).to_bytes(2, "big") + qualifying + TPM_ALG_NULL.to_bytes(2, "big"))
        command = (TPM_ST_SESSIONS.to_bytes(2, "big") + (10 + len(body)).to_bytes(4, "big") +
                   TPM_CC_CERTIFY.to_bytes(4, "big") + body)
        # TPM_RC_RETRY: the TPM was not able to start the command.
        for _ in range(10):
            reply = self.tool("tpm2_send", stdin=command)
            if int.from_bytes(reply[6:10], "big") != TPM_RC_RETRY:
                break
        assert reply[6:10] == bytes(4), "TPM2_Certify: " + reply.hex()
        parameters = reply[14:14 + int.from_bytes(reply[10:14], "big")]
        split = 2 + int.from_bytes(parameters[:2], "big")
        return parameters[2:split], parameters[split:]

    def quote(self, qualifying, selection, hash_name="sha256"):
        message, signature = self.dir / "quote", self.dir / "quote.sig"
        self.tool("tpm2_quote", "-c", f"0x{AK:08x}", "-l", selection, "-q", qualifying.hex(), "-g", hash_name,
                  "-m", message, "-s", signature)
        self.flush()
        return message.read_bytes(), signature.read_bytes()

    def pcrs(self, bank, indices):
        """{index: value} of one bank."""
        values, size = self.dir / "pcrs", hashlib.new(bank).digest_size
        found = {}
        for index in indices:
            self.tool("tpm2_pcrread", f"{bank}:{index}", "-o", values)
            found[index] = values.read_bytes()
            assert len(found[index]) == size, (bank, index, found[index])
        return found

    def extend(self, index):
        self.tool("tpm2_pcrextend", f"{index}:sha256={'5a' * 32}")


def kid_of(ak_pem):
    """The key identifier in the form of a UEID of type RAND: 01 and 32 octets."""
    return b"\x01" + hashlib.sha256(spki(ak_pem)).digest()


def evidence(tpm, nonce, selection="sha256:0,1,2,3", kid=None):
    """Both halves over one nonce: {"kat": TPM2_Certify of the identity key, "pat": TPM2_Quote}."""
    pub_area, _ = tpm.public(IK)
    _, ak_pem = tpm.public(AK)
    kid = kid_of(ak_pem) if kid is None else kid
    cert_info, certify_signature = tpm.certify(nonce)
    attest_info, quote_signature = tpm.quote(nonce, selection)
    return {"kat": {"tpmVer": "2.0", "kid": kid, "sig": certify_signature, "certInfo": cert_info, "pubArea": pub_area},
            "pat": {"tpmVer": "2.0", "kid": kid, "sig": quote_signature, "attestInfo": attest_info}}


def corim(ak_pem, references, kid=None, older=False):
    """An unsigned CoRIM of two tags: reference values {PCR: digest} in SHA-256 of the class, and the
    attestation key of the instance. Releases up to v0.0.2602 (older) want the instance as a UEID and the
    profile without its tag; later ones want bytes and the tag."""
    kid = kid_of(ak_pem) if kid is None else kid
    of_class = {0: {0: Tag(37, CLASS)}}
    of_instance = {**of_class, 1: Tag(UEID_INSTANCE if older else BYTES_INSTANCE, kid)}
    measurements = [{0: index, 1: {2: [[SHA256, digest]]}} for index, digest in references.items()]
    triples = ({0: [[of_class, measurements]]},
               {3: [[of_instance, [Tag(554, ak_pem.decode().strip())]]]})
    tags = [Tag(506, cbor({1: {0: os.urandom(16)}, 4: triple})) for triple in triples]
    return cbor(Tag(501, {0: os.urandom(16), 1: tags, 3: PROFILE if older else Tag(32, PROFILE)}))
