"""atls-proxy as a process of a test: its configuration, what it logged and where it listens; and a
plain HTTP server for it to stand in front of."""
import contextlib
import http.server
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading

from conftest import TIMEOUT, wait_until

PROXY = os.environ.get("ATLS_PROXY", "atls-proxy")


class Proxy:
    """One proxy. Its configuration is a text in which {dir} stands for its directory and other names
    for what the caller says."""

    def __init__(self, lab, name, text, **values):
        self.lab = lab
        self.name = name
        self.config = pathlib.Path(lab.dir) / f"{name}.yaml"
        self.log = pathlib.Path(lab.dir) / f"{name}.log"
        self.process = None
        self.write(text, **values)

    def write(self, text, **values):
        text = textwrap.dedent(text)
        for key, value in {**values, "dir": self.lab.dir, "store": self.lab.store}.items():
            text = text.replace("{" + key + "}", str(value))
        self.config.write_text(text)

    def check(self, *arguments):
        return subprocess.run([PROXY, "--config", self.config, "--check-config", *arguments], capture_output=True,
                              timeout=TIMEOUT, check=False, text=True)

    def start(self, *arguments, before=(), env=None):
        with self.log.open("wb") as stderr:
            self.process = subprocess.Popen([*before, PROXY, "--config", str(self.config), *arguments], stderr=stderr,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        self.lab.processes.append(self.process)
        wait_until("the proxy", lambda: self.process.poll() is not None or self.events("start"))
        assert self.process.poll() is None, self.log.read_text()
        return self

    def port(self, index=0):
        return int(self.events("listening")[index]["address"].rsplit(":", 1)[1])

    def events(self, name=None, **fields):
        whole = self.log.read_text().rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if name in (None, line["event"])
                and all(line.get(key) == value for key, value in fields.items())]

    def wait(self, name, count=1, **fields):
        return wait_until(f"{count} {name} of {self.name}", lambda: len(self.events(name, **fields)) >= count
                          and self.events(name, **fields))

    def tell(self, number):
        self.process.send_signal(number)

    def reload(self, ok=True):
        count = len(self.events("reload"))
        self.tell(signal.SIGHUP)
        line = self.wait("reload", count + 1)[count]
        assert (line["level"] == "info") == ok, line
        return line

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)


class Backend:
    """A plain HTTP server that answers every GET with what it is given."""

    def __init__(self, body=b"hello from behind\n"):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(TIMEOUT)


class Echo:
    """Sends back what it gets, over as many connections as come."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.socket.accept()
                threading.Thread(target=self.echo, args=(client,), daemon=True).start()

    @staticmethod
    def echo(client):
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(TIMEOUT)


class EchoProcess:
    """An Echo in a process of its own, for more connections than threads and descriptors allow here."""

    SERVE = textwrap.dedent("""
        import asyncio, resource
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

        class Echo(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport

            def data_received(self, data):
                self.transport.write(data)

        async def serve():
            loop = asyncio.get_running_loop()
            server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=4096)
            print(server.sockets[0].getsockname()[1], flush=True)
            await server.serve_forever()

        asyncio.run(serve())
        """)

    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", self.SERVE], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=TIMEOUT)


class Caller:
    """A connection through a proxy to an Echo."""

    def __init__(self, proxy, host="127.0.0.1", index=0):
        self.socket = socket.create_connection((host, proxy.port(index)), timeout=TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def says(self, data=b"ping"):
        """Whether it came back."""
        with contextlib.suppress(OSError):
            self.socket.sendall(data)
            return self.receives(data)
        return False

    def receives(self, data):
        """Whether that comes back."""
        got = b""
        while len(got) < len(data):
            more = self.socket.recv(65536)
            if not more:
                break
            got += more
        return got == data

    def ended(self):
        """Waits for the end, at which nothing may have come."""
        with contextlib.suppress(ConnectionResetError):
            return self.socket.recv(1) == b""
        return True
