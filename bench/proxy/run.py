#!/usr/bin/env python3
"""What atls-proxy costs beside nginx (stream) and haproxy, both as TLS proxies without attestation.

Same TLS 1.3 cipher, type of certificate, number of workers, and load; alternating, in one run. All
sides are on the loopback interface. Proxies that are not installed are skipped with a reason.

bulk    CPU seconds per GB of the proxy, and MB/s, each mode and direction
new     CPU per new connection of the proxy; that of the attested ones beside the better of the
        others plus the signatures that attestation cannot do without
memory  growth of the proxy (PSS) per idle connection
churn   descriptors and memory while connections come and go beside idle ones

Modes: terminate (TLS in, plain out), originate (plain in, TLS out). CPU is utime + stime of all
processes of a proxy. What is not a ratio says something of this machine and hour alone."""
import argparse
import ctypes
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

CIPHER = "TLS_AES_128_GCM_SHA256"
MODES = ("terminate", "originate")
TICK = os.sysconf("SC_CLK_TCK")
MB = 1e6
NAMES = ("nginx", "haproxy", "atls-proxy")
OURS = "atls-proxy"


def end_with_parent():
    """In the child: nothing outlives this script."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port, process, log):
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(log.read_text(errors="replace").strip()[-2000:] or "ended at once")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("does not listen")


# ---- the load ----

class Client:
    """One run of the load generator; opened on creation, to the end by go()."""

    def __init__(self, load, kind, port, *args):
        self.process = subprocess.Popen(
            [load, "client", DIR, kind, str(port), *map(str, args)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=end_with_parent)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("load did not start")

    def go(self):
        """(seconds, failed connections)"""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        self.process.wait()
        if len(words) != 3:
            raise RuntimeError("load broke off")
        return float(words[1]), int(words[2])


class Server:
    def __init__(self, load, kind):
        self.port = free_port()
        self.process = subprocess.Popen([load, "serve", DIR, kind, str(self.port)],
                                        stdout=subprocess.PIPE, text=True,
                                        preexec_fn=end_with_parent)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("load does not serve")


# ---- the proxies ----

NGINX = """
daemon off; {user} pid {dir}/nginx-{port}.pid; error_log stderr error;
worker_processes {workers}; worker_rlimit_nofile {files};
{module}
events {{ worker_connections {files}; multi_accept on; }}
stream {{
  tcp_nodelay on; proxy_timeout 1h;
  server {{ listen 127.0.0.1:{port} backlog=4096 {ssl}; proxy_pass 127.0.0.1:{back}; {more} }}
}}
"""
NGINX_IN = """ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {cipher};
  ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
  ssl_session_tickets off; ssl_session_cache off;"""
NGINX_OUT = """proxy_ssl on; proxy_ssl_protocols TLSv1.3;
  proxy_ssl_conf_command Ciphersuites {cipher}; proxy_ssl_session_reuse off;"""

HAPROXY = """
global
  nbthread {workers}
  maxconn {half}
  tune.ssl.cachesize 0
  ssl-default-bind-options no-tls-tickets
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
frontend in
  bind 127.0.0.1:{port} backlog 4096 {ssl}
  default_backend out
backend out
  server one 127.0.0.1:{back} {more}
"""
HAPROXY_IN = "ssl crt {dir}/both.pem ssl-min-ver TLSv1.3 ciphersuites {cipher}"
HAPROXY_OUT = "ssl verify none ssl-min-ver TLSv1.3 ciphersuites {cipher} no-ssl-reuse"

# TLS_AES_128_GCM_SHA256 by the configuration of OpenSSL: see OPENSSL_CONF.
ATLS = """
log: {{level: error}}
workers: {workers}
limits: {{connections: {half}, handshakes: 4096, connections-per-source: {half}, rate: 1000000,
  burst: 1000000, idle-timeout: 1h}}
attesters: {{soft: {{uri: 'soft:{dir}/platform.pem', insecure: true}}}}
verifiers: {{local: {{uri: 'local:{dir}/store.db', insecure: true}}}}
policies: {{bench: {dir}/policy.jq}}
routes:
  - name: bench
    listen: ['127.0.0.1:{port}']
    mode: {mode}
    target: 127.0.0.1:{back}
    {side}
"""
ATLS_IN = """downstream: {{attester: soft, require: none,
      tls: {{certificate: {dir}/cert.pem, key: {dir}/key.pem}}}}"""
ATLS_OUT = """upstream: {{require: {{verifier: local, policy: bench, identity: attested,
      evidence-types: [soft]}}, tls: {{name: localhost}}}}"""
POLICY = ('{decision: (if .submods.SOFT then "accept" else "refuse" end), insecure: ["soft"]}')
OPENSSL_CONF = f"""openssl_conf = conf
[conf]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
Ciphersuites = {CIPHER}
"""


def find(name, build):
    if name == OURS:
        path = build / "apps" / OURS
        return (str(path), None) if path.exists() else (None, f"{path} is not built")
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        return None, "is not installed (scripts/deps bench)"
    if name == "nginx" and nginx_module(path) is None:
        return None, "has no stream module (libnginx-mod-stream)"
    return path, None


def nginx_module(path):
    built = subprocess.run([path, "-V"], capture_output=True, text=True, check=False).stderr
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    if "--with-stream=dynamic" in built:
        return f"load_module {module};" if os.path.exists(module) else None
    return "" if "--with-stream" in built else None


class Proxy:
    def __init__(self, name, path, mode, back, workers):
        self.name, self.mode, self.port = name, mode, free_port()
        self.kind = "attested" if name == OURS else "tls"
        self.log = pathlib.Path(DIR) / f"{name}-{self.port}.log"
        file = pathlib.Path(DIR) / f"{name}-{self.port}.conf"
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        fill = {"dir": DIR, "port": self.port, "back": back[self.kind if mode == "originate"
                else "plain"].port, "workers": workers, "files": files, "half": files // 2 - 100,
                "cipher": CIPHER, "mode": mode, "user": "", "module": "", "ssl": "", "more": ""}
        into = mode == "terminate"
        if name == "nginx":
            fill["module"] = nginx_module(path)
            fill["user"] = "user root;" if os.geteuid() == 0 else ""
            fill["ssl"] = "ssl" if into else ""
            fill["more"] = (NGINX_IN if into else NGINX_OUT).format(**fill)
            text, command = NGINX, [path, "-p", DIR, "-c", str(file)]
        elif name == "haproxy":
            fill["ssl" if into else "more"] = (HAPROXY_IN if into else HAPROXY_OUT).format(**fill)
            text, command = HAPROXY, [path, "-db", "-f", str(file)]
        else:
            fill["side"] = (ATLS_IN if into else ATLS_OUT).format(**fill)
            text, command = ATLS, [path, "--config", str(file)]
        file.write_text(text.format(**fill))
        file.chmod(0o600)
        env = dict(os.environ, OPENSSL_CONF=f"{DIR}/openssl.cnf") if name == OURS else None
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=env,
                                            preexec_fn=end_with_parent)
        wait_port(self.port, self.process, self.log)

    def client_kind(self):
        return self.kind if self.mode == "terminate" else "plain"

    def pids(self):
        found = [self.process.pid]
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
        return found

    def cpu_s(self):
        """(all, of it in user mode)"""
        user = system = 0
        for pid in self.pids():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, system = user + int(fields[11]), system + int(fields[12])
        return (user + system) / TICK, user / TICK

    def pss(self):
        total = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.pids())

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# ---- the measurements ----

class Bench:
    def __init__(self, options, load, paths, back):
        self.options, self.load, self.paths, self.back = options, load, paths, back

    def start(self, name, mode):
        return Proxy(name, self.paths[name], mode, self.back, self.options.workers)

    def client(self, proxy, *args):
        return Client(self.load, proxy.client_kind(), proxy.port, *args)

    def alternate(self, mode, measure):
        """measure(proxy) -> dict of figures; {proxy: [dict of each round]}."""
        proxies = [self.start(name, mode) for name in self.paths]
        rows = {p.name: [] for p in proxies}
        for round_ in range(self.options.rounds + 1):
            for i in range(len(proxies)):
                proxy = proxies[(i + round_) % len(proxies)]
                figures = measure(proxy)
                if round_ > 0:  # the first one warms up
                    rows[proxy.name].append(figures)
        for proxy in proxies:
            proxy.stop()
        return rows

    def bulk(self):
        for mode in MODES:
            for way, order in (("to the target", "up"), ("to the client", "down")):
                rows = self.alternate(mode, lambda p, o=order: self.bulk_once(p, o))
                print(f"bulk, {mode}, {way}: {self.options.connections} connections")
                show(rows, (("cpu", "CPU s/GB", "%8.3f"), ("user", "of it user", "%8.3f"),
                            ("rate", "MB/s", "%8.0f")))
                ratio(rows, "cpu", min)
                ratio(rows, "user", min)
                ratio(rows, "rate", max)

    def bulk_once(self, proxy, order):
        size = int(self.options.megabytes * MB)
        client = self.client(proxy, order, self.options.connections, size)
        before = proxy.cpu_s()
        seconds, failed = client.go()
        if failed:
            raise RuntimeError(f"{proxy.name}: {failed} connections broke off")
        both, user = (b - a for a, b in zip(before, proxy.cpu_s()))
        return {"cpu": both / size * 1e9, "user": user / size * 1e9, "rate": size / MB / seconds}

    def new(self):
        done = subprocess.run([self.load, "primitives"], check=True, capture_output=True, text=True)
        sign, verify = (float(x) / 1e3 for x in done.stdout.split())
        for mode, name, one in (("terminate", "signatures", sign),
                                ("originate", "verifications", verify)):
            rows = self.alternate(mode, self.new_once)
            print(f"new connections, {mode}: CPU of the proxy each")
            show(rows, (("cpu", "us", "%8.0f"), ("rate", "a second", "%8.0f")))
            print(f"  two {name}, made and checked once each elsewhere {2 * one:8.0f} us")
            ratio(rows, "cpu", min, f" plus two {name}", 2 * one)

    def new_once(self, proxy):
        count = self.options.new
        client = self.client(proxy, "new", count, 16, 0)
        before = proxy.cpu_s()
        seconds, failed = client.go()
        if failed:
            raise RuntimeError(f"{proxy.name}: {failed} of {count} connections failed")
        time.sleep(0.1)
        return {"cpu": (proxy.cpu_s()[0] - before[0]) / count * 1e6, "rate": count / seconds}

    def idle_counts(self):
        most = (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 400) // 2
        return sorted({min(n, most) for n in self.options.idle})

    def memory(self):
        for mode in MODES:
            for count in self.idle_counts():
                rows = {}
                for name in self.paths:
                    rows[name] = [{"kib": self.memory_once(name, mode, count)}]
                print(f"memory, {mode}: KiB (PSS) per idle connection, {count} of them")
                show(rows, (("kib", "KiB", "%8.1f"),))
                ratio(rows, "kib", min)

    def memory_once(self, name, mode, count):
        proxy = self.start(name, mode)
        self.client(proxy, "new", 50, 8, 0).go()
        before = proxy.pss()
        client = self.client(proxy, "idle", count)
        time.sleep(self.options.settle)
        grown = proxy.pss() - before
        _, failed = client.go()
        proxy.stop()
        if failed:
            raise RuntimeError(f"{name}: {failed} of {count} idle connections were lost")
        return grown / count / 1024

    def churn(self):
        count = self.idle_counts()[-1]
        minutes = self.options.soak / 60
        for mode in MODES:
            print(f"churn, {mode}: {self.options.rate} connections a minute beside {count} idle "
                  f"ones, {self.options.soak} s")
            for name in self.paths:
                self.churn_one(name, mode, count, minutes)

    def churn_one(self, name, mode, count, minutes):
        proxy = self.start(name, mode)
        first = proxy.descriptors()
        idle = self.client(proxy, "idle", count)
        samples, failed, parts = [], 0, max(4, int(minutes))
        for _ in range(parts + 1):
            time.sleep(self.options.settle)
            samples.append((proxy.descriptors(), proxy.pss()))
            if len(samples) <= parts:
                each = max(1, int(self.options.rate * minutes / parts))
                failed += self.client(proxy, "new", each, 256, self.options.rate).go()[1]
        lost = idle.go()[1]
        for _ in range(100):
            left = proxy.descriptors() - first
            if left <= 0:
                break
            time.sleep(0.2)
        proxy.stop()
        # The first part may still grow what is kept; a leak grows from part to part.
        print(f"  {name:11} descriptors {samples[1][0]} to {samples[-1][0]}, {left} more "
              f"than at first when all have gone; PSS {samples[0][1] / MB:.1f}, {samples[1][1] / MB:.1f} to "
              f"{samples[-1][1] / MB:.1f} MB; {failed} failed, {lost} idle lost", flush=True)


def medians(rows, key):
    return {name: statistics.median(r[key] for r in rounds) for name, rounds in rows.items()}


def show(rows, columns):
    for name, rounds in rows.items():
        text = f"  {name:11}"
        for key, unit, form in columns:
            values = [r[key] for r in rounds]
            text += f" {form % statistics.median(values)} {unit}"
            if len(values) > 1:
                text += f" ({form.replace('8', '') % min(values)} to "
                text += f"{form.replace('8', '') % max(values)})"
        print(text, flush=True)


def ratio(rows, key, better, said="", added=0.0):
    others = [name for name in rows if name != OURS]
    if OURS not in rows or not others:
        return
    # The one whose median is better, in each round: not the luckier of two in every round.
    middle = medians(rows, key)
    best = better(others, key=lambda name: middle[name])
    each = [ours[key] / (other[key] + added) for ours, other in zip(rows[OURS], rows[best])]
    print(f"  ratio {OURS} / {best}{said}, {key}: {statistics.median(each):.2f} "
          f"({min(each):.2f} to {max(each):.2f})", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--only", default="bulk,new,memory,churn", help="some of these")
    parser.add_argument("--proxies", default=",".join(NAMES), help="some of these")
    parser.add_argument("--short", action="store_true", help="figures within a minute or so")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=4, help="of a bulk transfer")
    parser.add_argument("--megabytes", type=float, default=1000, help="of a bulk transfer")
    parser.add_argument("--new", type=int, default=1000, help="connections of a round")
    parser.add_argument("--idle", type=lambda s: [int(n) for n in s.split(",")],
                        default=[1000, 10000], help="numbers of idle connections")
    parser.add_argument("--settle", type=float, default=1, help="s before memory is looked at")
    parser.add_argument("--soak", type=int, default=60, help="s of churn")
    parser.add_argument("--rate", type=int, default=3000, help="connections a minute of churn")
    options = parser.parse_args()
    if options.short:
        options.rounds, options.megabytes, options.new = 3, 300, 300
        options.idle, options.soak = [1000], 4
    return options


def main():
    options = parse()
    load = str(options.build / "bench" / "bench_proxy_load")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    subprocess.run([load, "setup", DIR], check=True)
    pathlib.Path(DIR, "policy.jq").write_text(POLICY)
    pathlib.Path(DIR, "openssl.cnf").write_text(OPENSSL_CONF)
    paths = {}
    for name in options.proxies.split(","):
        path, why = find(name, options.build)
        if path is None:
            print(f"no {name} beside it: {why}")
        else:
            paths[name] = path
    if not paths:
        return
    back = {kind: Server(load, kind) for kind in ("plain", "tls", "attested")}
    bench = Bench(options, load, paths, back)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
          f"{options.workers} worker(s) each; medians (least to most) of {options.rounds} rounds")
    for part in options.only.split(","):
        getattr(bench, part)()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="atls-bench-") as DIR:
        try:
            main()
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"bench: {error}", file=sys.stderr)
            sys.exit(2)
