"""Programs as they come from their packages, which know nothing of attestation, for proxies to stand in
front of; each on a socket of its directory, or on a port of the loopback."""
import contextlib
import http.server
import pathlib
import socket
import socketserver
import subprocess
import threading

from conftest import TIMEOUT, need, wait_until

NGINX = """
daemon off;
user root;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx.error;
events {{ worker_connections 256; }}
http {{
    log_format requests '$connection $request_method $uri $status verdict=$http_x_attested_verdict';
    access_log {dir}/nginx.log requests;
    client_max_body_size 0;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen unix:{dir}/nginx.sock;
        root {dir}/www;
        keepalive_requests 1000;
        dav_methods PUT;
        create_full_put_path on;
        location /who {{ return 200 "$http_x_attested_verdict $http_x_attested_evidence $http_x_attested_key\\n"; }}
        location /echo {{
            proxy_pass http://unix:{dir}/echo.sock;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_buffering off;
        }}
    }}
}}
"""


def answers(path):
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(str(path))
            return True
        except OSError:
            return False


class Program:
    """A process that ends with the test."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


class Nginx(Program):
    def __init__(self, lab):
        need("nginx")
        self.dir = pathlib.Path(lab.dir) / "nginx"
        (self.dir / "www").mkdir(parents=True)
        self.target = f"unix:{self.dir}/nginx.sock"
        self.echo = Echo(self.dir / "echo.sock")
        (self.dir / "nginx.conf").write_text(NGINX.format(dir=self.dir))
        super().__init__("nginx", "-e", self.dir / "nginx.error", "-c", self.dir / "nginx.conf")
        wait_until("nginx", lambda: answers(self.dir / "nginx.sock"))

    def file(self, name, data):
        (self.dir / "www" / name).write_bytes(data)

    def requests(self):
        return [line.split() for line in (self.dir / "nginx.log").read_text().splitlines()]

    def close(self):
        super().close()
        self.echo.close()


class Redis(Program):
    def __init__(self, lab):
        need("redis-server", "redis-cli")
        directory = pathlib.Path(lab.dir) / "redis"
        directory.mkdir()
        self.target = f"unix:{directory}/sock"
        super().__init__("redis-server", "--port", 0, "--unixsocket", directory / "sock", "--dir", directory,
                         "--save", "", "--appendonly", "no")
        wait_until("redis", lambda: answers(directory / "sock"))


class Iperf3(Program):
    def __init__(self):
        need("iperf3")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.target = f"127.0.0.1:{self.port}"
        super().__init__("iperf3", "-s", "-B", "127.0.0.1", "-p", self.port)
        wait_until("iperf3", self.listens)

    def listens(self):
        """Without a connection, which iperf3 would take for a client."""
        port = f":{self.port:04X} "
        return any(port in line and line.split()[3] == "0A"
                   for line in pathlib.Path("/proc/net/tcp").read_text().splitlines())


class Threaded:
    """A server in the test: a thread for each connection, which calls serve(socket)."""

    def __init__(self, path=None, serve=None):
        given = serve or self.serve

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with contextlib.suppress(ConnectionError):
                    given(self.request)

        class Server(socketserver.ThreadingMixIn,
                     socketserver.TCPServer if path is None else socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 512

        self.server = Server(("127.0.0.1", 0) if path is None else str(path), Handler)
        self.target = f"127.0.0.1:{self.server.server_address[1]}" if path is None else f"unix:{path}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def serve(self, s):
        raise NotImplementedError

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Echo:
    """HTTP/1.1: answers a request with its body, in chunks as it came in."""

    def __init__(self, path):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def address_string(self):
                return "unix"

            def chunks(self):
                if self.headers.get("Transfer-Encoding", "") == "chunked":
                    while size := int(self.rfile.readline(), 16):
                        yield self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    yield self.rfile.read(int(self.headers["Content-Length"]))

            def do_POST(self):
                chunks = list(self.chunks())
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for chunk in chunks:
                    if chunk:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self.server = Server(str(path), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Events(Threaded):
    """Server-sent events: one at once, and one for each that the test tells of."""

    def __init__(self):
        self.streams = []
        self.told = threading.Condition()
        self.number = 1
        super().__init__()

    def serve(self, s):
        while b"\r\n\r\n" not in s.recv(65536, socket.MSG_PEEK):
            pass
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n")
        sent = 0
        while True:
            with self.told:
                self.told.wait_for(lambda: self.number > sent or self.number == 0)
                number = self.number
            if number == 0:
                return
            while sent < number:
                sent += 1
                s.sendall(b"id: %d\ndata: event %d\n\n" % (sent, sent))

    def tell(self):
        with self.told:
            self.number += 1
            self.told.notify_all()

    def finish(self):
        with self.told:
            self.number = 0
            self.told.notify_all()


class Lines(Threaded):
    """Sends back what it gets until the end of it, then ends."""

    def serve(self, s):
        while data := s.recv(65536):
            s.sendall(data)
