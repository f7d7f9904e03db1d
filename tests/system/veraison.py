"""A verifier service that speaks Veraison's API and says what a test wants: it appraises nothing. `lie` names what it does
wrong; "" for an answer as it should be."""
import base64
import http.server
import json
import subprocess
import threading
import time
import urllib.parse

from conftest import tool

SESSION = "application/vnd.veraison.challenge-response-session+json"
DISCOVERY = "application/vnd.veraison.discovery+json"
BUNDLE = 'application/cmw+cbor; cmwc_t="urn:uuid:7d3c1c52-31a5-4a0e-9b1e-6f0f0c0a71b5"'
TREE = {"status": "waiting", "expiry": "2099-01-01T00:00:00Z", "accept": [BUNDLE]}


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_url64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Key:
    """An ES256 key, made by openssl."""

    def __init__(self, path):
        self.path = path
        tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
        point = tool("openssl", "pkey", "-in", path, "-pubout", "-outform", "DER")[-64:]
        self.jwk = {"kty": "EC", "crv": "P-256", "kid": "liar", "alg": "ES256", "x": url64(point[:32]),
                    "y": url64(point[32:])}

    def sign(self, data):
        """r and s as JWS has them."""
        der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.path], input=data, capture_output=True,
                             check=True).stdout
        out, at = b"", 2
        for _ in range(2):
            length = der[at + 1]
            out += der[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
            at += 2 + length
        return out

    def token(self, claims, algorithm="ES256"):
        header = {"alg": algorithm, "typ": "JWT", "kid": "liar"}
        signed = ".".join(url64(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{url64(self.sign(signed.encode()))}"


class Veraison:
    """The service; aik: the certificate of the key that its results attest."""

    def __init__(self, directory, aik):
        self.key, self.other = Key(directory / "liar.key"), Key(directory / "other.key")
        self.jwks = directory / "liar.jwks"
        self.jwks.write_text(json.dumps({"keys": [self.key.jwk]}))
        public = tool("openssl", "x509", "-in", aik, "-pubkey", "-noout")
        self.spki = tool("openssl", "pkey", "-pubin", "-outform", "DER", stdin=public)
        self.lie, self.recorded, self.over = "", [], threading.Event()
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if "/session/" in self.path:
                    service.result(self)
                else:
                    service.discovery(self)

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if "newSession" in self.path:
                    service.session(self)
                else:
                    service.result(self)

            def do_DELETE(self):
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                """The other side has enough of it."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    # ---- answers ----

    @staticmethod
    def reply(handler, status, media_type, value, **headers):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, text in headers.items():
            handler.send_header(name.replace("_", "-"), text)
        handler.end_headers()
        handler.wfile.write(body)

    def discovery(self, handler):
        self.reply(handler, 200, DISCOVERY, {
            "ear-verification-key": self.key.jwk, "media-types": [BUNDLE], "version": "v0", "service-state": "READY",
            "api-endpoints": {"newChallengeResponseSession": "/challenge-response/v1/newSession"}})

    def session(self, handler):
        nonce = urllib.parse.parse_qs(urllib.parse.urlsplit(handler.path).query)["nonce"][0]
        if self.lie == "a session for another nonce":
            nonce = url64(self.flip(from_url64(nonce)))
        raw = from_url64(nonce)
        self.reply(handler, 201, SESSION, {**TREE, "nonce": base64.b64encode(raw).decode()},
                   Location=f"session/{url64(raw)}")

    @staticmethod
    def flip(data):
        return bytes([data[0] ^ 1]) + data[1:]

    def claims(self, nonce):
        now = int(time.time())
        status = "contraindicated" if self.lie == "a contraindication" else "affirming"
        trust = 96 if self.lie == "a contraindication" else 2
        spki = self.flip(self.spki[::-1])[::-1] if self.lie == "another key attested" else self.spki
        claims = {
            "eat_profile": "tag:github.com,2023:veraison/ear", "iat": now, "exp": now + 3600,
            "ear.verifier-id": {"build": "fake", "developer": "tests"},
            "eat_nonce": url64(self.flip(nonce) if self.lie == "a result for another nonce" else nonce),
            "submods": {"PARSEC_TPM": {
                "ear.status": status, "ear.appraisal-policy-id": "policy:PARSEC_TPM",
                "ear.trustworthiness-vector": {"instance-identity": 2, "executables": trust, "hardware": 2},
                "ear.veraison.key-attestation": {"akpub": url64(spki)}}}}
        submod = claims["submods"]["PARSEC_TPM"]
        if self.lie == "an instance that is not known":
            submod |= {"ear.status": "contraindicated", "ear.trustworthiness-vector": {"instance-identity": 97}}
        elif self.lie == "a signature that failed":
            submod |= {"ear.status": "contraindicated", "ear.trustworthiness-vector": {"hardware": 99}}
        elif self.lie == "no statement":
            submod["ear.status"] = "none"
            del submod["ear.trustworthiness-vector"]
        elif self.lie == "a result that has expired":
            claims |= {"iat": now - 200, "exp": now - 100}
        elif self.lie == "a result of long ago":
            claims |= {"iat": now - 7200, "exp": now + 3600}
        elif self.lie == "a result of tomorrow":
            claims |= {"iat": now + 86400, "exp": now + 90000}
        return claims

    def token(self, nonce):
        """What would be right is kept for connections to come."""
        if self.lie == "a result of an earlier connection":
            return self.recorded[0]
        key = self.other if self.lie == "another key signs" else self.key
        token = key.token(self.claims(nonce), "none" if self.lie == "no signature" else "ES256")
        if self.lie == "a changed result":
            header, claims, signature = token.split(".")
            text = from_url64(claims).replace(b'"fake"', b'"real"')
            token = f"{header}.{url64(text)}.{signature}"
        elif self.lie == "no signature":
            token = token.rpartition(".")[0] + "."
        elif self.lie == "":
            self.recorded.append(token)
        return token

    def result(self, handler):
        raw = from_url64(handler.path.rpartition("/")[2])
        answer = {**TREE, "status": "complete", "nonce": base64.b64encode(raw).decode()}
        if self.lie == "an error":
            self.reply(handler, 500, "application/problem+json", {"title": "Internal Server Error", "status": 500})
        elif self.lie == "garbage":
            self.reply(handler, 200, SESSION, bytes(range(256)) * 8)
        elif self.lie == "no HTTP":
            handler.close_connection = True
            handler.wfile.write(bytes(range(255, 127, -1)) * 8)
        elif self.lie == "half an answer":
            handler.close_connection = True
            body = json.dumps({**answer, "result": self.token(raw)}).encode()
            self.begin(handler, len(body))
            handler.wfile.write(body[:len(body) // 2])
        elif self.lie == "a body without end":
            self.begin(handler, 1 << 40)
            while not self.over.is_set():
                handler.wfile.write(b" " * 65536)
        elif self.lie == "headers without end":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not self.over.is_set():
                handler.wfile.write(b"X-More: " + b"x" * 1000 + b"\r\n")
        elif self.lie == "a byte at a time":
            body = b" " * 100_000 + json.dumps({**answer, "result": self.token(raw)}).encode()
            self.begin(handler, len(body))
            for byte in body:
                handler.wfile.write(bytes([byte]))
                if self.over.wait(0.01):
                    break
        elif self.lie == "another address":
            self.reply(handler, 302, SESSION, {}, Location="http://127.0.0.1:1/")
        elif self.lie == "never done":
            self.reply(handler, 202, SESSION, {**answer, "status": "processing"})
        else:
            self.reply(handler, 200, SESSION, {**answer, "result": self.token(raw)})

    @staticmethod
    def begin(handler, length):
        handler.send_response(200)
        handler.send_header("Content-Type", SESSION)
        handler.send_header("Content-Length", str(length))
        handler.end_headers()
