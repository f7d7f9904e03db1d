#!/usr/bin/env python3
"""What atls-proxy costs beside nginx (stream) and haproxy, both as TLS proxies without attestation.

Same TLS 1.3 cipher, type of certificate, number of workers, and load; alternating, in one run. All
sides are on the loopback interface. Proxies that are not installed are skipped with a reason.
atls-proxy has a row for each way to carry attestation (--flavours).

bulk    CPU seconds per GB of the proxy, and MB/s, each mode and direction
new     CPU per new connection of the proxy; that of the attested ones beside the better of the
        others plus the signatures, and the values taken from TLS, that attestation cannot do
        without; these are measured in each round anew, since load slows them, too
memory  growth of the proxy (PSS) per idle connection; beside the better of the others plus 4 KiB
churn   descriptors and memory at the start, in the middle and at the end while connections come
        and go beside idle ones; as many processes of a proxy as descriptors make necessary. Exit
        status 1 when atls-proxy keeps a descriptor, grows, loses or refuses a connection

Modes: terminate (TLS in, plain out), originate (plain in, TLS out). CPU is utime + stime of all
processes of a proxy. What is not a ratio says something of this machine and hour alone."""
import argparse
import contextlib
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
# Ways to carry attestation: what a side says, and the signatures that each cannot do without, of
# one who attests and one who appraises; values that either takes from TLS (RFC 9261). The key that
# attests is that of TLS in intra and pre.
FLAVOURS = {
    "post": ("", 2, 2, 3),  # evidence, authenticator
    "raw": ("raw: true, ", 2, 2, 3),
    "intra": ("flavour: intra, ", 1, 1, 0),  # evidence
    "pre-none": ("flavour: pre, freshness: none, ", 0, 1, 0),  # evidence once a day
    "pre-nonce": ("flavour: pre, freshness: nonce, ", 2, 1, 0),  # evidence, certificate
}
MORE_MEMORY = 4.0  # KiB that an attested connection may take beyond a TLS connection
GROWTH = 2 << 20  # of all memory in half of a churn: the allocator's, not a leak


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
        self.begin()
        return self.end()

    def begin(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self):
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
ATLS_IN = """downstream: {{{way}attester: soft, require: none{tls}}}"""
ATLS_IN_TLS = """,
      tls: {{certificate: {dir}/cert.pem, key: {dir}/key.pem}}"""
ATLS_OUT = """upstream: {{{way}require: {{verifier: local, policy: bench, identity: attested,
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
    """A process; label is the name of a program, and for ours the flavour with it."""

    def __init__(self, label, path, mode, back, workers):
        name, _, flavour = label.partition(" ")
        self.name, self.mode, self.port = label, mode, free_port()
        self.kind = flavour or "tls"
        self.log = pathlib.Path(DIR) / f"{name}-{self.port}.log"
        file = pathlib.Path(DIR) / f"{name}-{self.port}.conf"
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        fill = {"dir": DIR, "port": self.port, "back": back[self.kind if mode == "originate"
                else "plain"].port, "workers": workers, "files": files, "half": files // 2 - 100,
                "cipher": CIPHER, "mode": mode, "user": "", "module": "", "ssl": "", "more": "",
                "tls": ""}
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
            fill["way"] = FLAVOURS[flavour][0]
            if into and flavour in ("post", "raw"):
                fill["tls"] = ATLS_IN_TLS.format(**fill)
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

    def alternate(self, mode, measure, beside=None):
        """measure(proxy) -> dict of figures; {proxy: [dict of each round]}, and what beside()
        gave in each round."""
        proxies = [self.start(name, mode) for name in self.paths]
        rows, others = {p.name: [] for p in proxies}, []
        for round_ in range(self.options.rounds + 1):
            for i in range(len(proxies)):
                proxy = proxies[(i + round_) % len(proxies)]
                figures = measure(proxy)
                if round_ > 0:  # the first one warms up
                    rows[proxy.name].append(figures)
            if round_ > 0 and beside is not None:
                others.append(beside())
        for proxy in proxies:
            proxy.stop()
        return rows, others

    def bulk(self):
        for mode in MODES:
            for way, order in (("to the target", "up"), ("to the client", "down")):
                rows, _ = self.alternate(mode, lambda p, o=order: self.bulk_once(p, o))
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

    def primitives(self):
        """us of a signature, a verification, a value taken from TLS"""
        done = subprocess.run([self.load, "primitives"], check=True, capture_output=True, text=True)
        return [float(ns) / 1e3 for ns in done.stdout.split()]

    def new(self):
        for mode, name, which in (("terminate", "signatures", 0),
                                  ("originate", "verifications", 1)):
            rows, costs = self.alternate(mode, self.new_once, self.primitives)
            one, value = ([c[i] for c in costs] for i in (which, 2))
            print(f"new connections, {mode}: CPU of the proxy each")
            show(rows, (("cpu", "us", "%8.0f"), ("user", "of it user", "%8.0f"),
                        ("rate", "a second", "%8.0f")))
            print(f"  one of the {name} {statistics.median(one):8.0f} us, a value taken from TLS "
                  f"{statistics.median(value):4.0f} us")
            for flavour in self.options.flavours:
                count, values = FLAVOURS[flavour][1 + which], FLAVOURS[flavour][3]
                signed = [count * x for x in one]
                ratio(rows, "cpu", min, f" plus {count} {name}", signed, flavour)
                if values > 0:
                    ratio(rows, "cpu", min, f" plus {count} {name} and {values} values",
                          [a + values * b for a, b in zip(signed, value)], flavour)

    def new_once(self, proxy):
        count = self.options.new
        client = self.client(proxy, "new", count, 16, 0)
        before = proxy.cpu_s()
        seconds, failed = client.go()
        if failed:
            raise RuntimeError(f"{proxy.name}: {failed} of {count} connections failed")
        time.sleep(0.1)
        both, user = ((b - a) / count * 1e6 for a, b in zip(before, proxy.cpu_s()))
        return {"cpu": both, "user": user, "rate": count / seconds}

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
                ratio(rows, "kib", min, f" plus {MORE_MEMORY:.0f} KiB", MORE_MEMORY)

    def warm_up(self, proxy):
        """Has it open and allocate what it needs however many connections there are."""
        self.client(proxy, "new", 300, 64, 0).go()
        time.sleep(self.options.settle)

    def memory_once(self, name, mode, count):
        proxy = self.start(name, mode)
        self.warm_up(proxy)
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
        """False when atls-proxy leaks."""
        count, fine = max(self.options.idle), True
        for mode in MODES:
            print(f"churn, {mode}: {self.options.rate} connections a minute beside {count} idle "
                  f"ones, {self.options.soak} s")
            for name in self.paths:
                fine &= self.churn_one(name, mode, count)
        return fine

    def churn_one(self, name, mode, count):
        most = self.idle_counts()[-1]
        crowd = Crowd([self.start(name, mode) for _ in range(-(-count // most))])
        with contextlib.closing(crowd):
            for proxy in crowd.proxies:
                self.warm_up(proxy)
            first = crowd.descriptors()
            idle = [self.client(proxy, "idle", part)
                    for proxy, part in zip(crowd.proxies, crowd.parts(count))]
            samples, failed = [], 0
            for half in range(3):  # at the start, in the middle, at the end
                time.sleep(self.options.settle)
                samples.append((crowd.descriptors(), crowd.pss()))
                failed += 0 if half == 2 else self.come_and_go(crowd, self.options.soak / 2)
            lost = sum(client.go()[1] for client in idle)
            left = crowd.left_of(first)
        grown = samples[2][1] - samples[1][1]
        print(f"  {name:20} {len(crowd.proxies)} process(es); descriptors {first} before, "
              f"{', '.join(str(s[0]) for s in samples)}, {left} too many after; "
              f"PSS {', '.join(f'{s[1] / MB:.1f}' for s in samples)} MB; "
              f"{failed} failed, {lost} idle lost", flush=True)
        leaks = [text for bad, text in ((left > 0, "descriptors are left"), (failed, "some failed"),
                                        (lost, "idle connections were lost"),
                                        (samples[2][0] > samples[0][0], "descriptors grow"),
                                        (grown > GROWTH, f"memory grows by {grown / MB:.1f} MB"))
                 if bad]
        if leaks and name.startswith(OURS):
            print(f"  {name}: LEAK: {', '.join(leaks)}", flush=True)
            return False
        return True

    def come_and_go(self, crowd, seconds):
        """New connections, evenly over the seconds and processes; how many failed."""
        rate = self.options.rate / len(crowd.proxies)
        clients = [self.client(proxy, "new", max(1, int(rate * seconds / 60)), 256, rate)
                   for proxy in crowd.proxies]
        for client in clients:
            client.begin()
        return sum(client.end()[1] for client in clients)


class Crowd:
    """Processes of one proxy, which share connections evenly."""

    def __init__(self, proxies):
        self.proxies = proxies

    def parts(self, count):
        each, more = divmod(count, len(self.proxies))
        return [each + (i < more) for i in range(len(self.proxies))]

    def descriptors(self):
        return sum(proxy.descriptors() for proxy in self.proxies)

    def pss(self):
        return sum(proxy.pss() for proxy in self.proxies)

    def left_of(self, first):
        """Descriptors above that number once connections have had the time to go."""
        for _ in range(150):
            left = self.descriptors() - first
            if left <= 0:
                break
            time.sleep(0.2)
        return max(left, 0)

    def close(self):
        for proxy in self.proxies:
            proxy.stop()


def medians(rows, key):
    return {name: statistics.median(r[key] for r in rounds) for name, rounds in rows.items()}


def show(rows, columns):
    for name, rounds in rows.items():
        text = f"  {name:20}"
        for key, unit, form in columns:
            values = [r[key] for r in rounds]
            text += f" {form % statistics.median(values)} {unit}"
            if len(values) > 1:
                text += f" ({form.replace('8', '') % min(values)} to "
                text += f"{form.replace('8', '') % max(values)})"
        print(text, flush=True)


def ratio(rows, key, better, said="", added=0.0, flavour=None):
    """Of each of our rows, or of that flavour, to the better of the others."""
    others = [name for name in rows if not name.startswith(OURS)]
    ours = [name for name in rows if name.startswith(OURS) and
            flavour in (None, name.partition(" ")[2])]
    if not others:
        return
    # The one whose median is better, in each round: not the luckier of two in every round.
    middle = medians(rows, key)
    best = better(others, key=lambda name: middle[name])
    if not isinstance(added, list):
        added = [added] * len(rows[best])
    for name in ours:
        each = [a[key] / (b[key] + more) for a, b, more in zip(rows[name], rows[best], added)]
        spread = f" ({min(each):.2f} to {max(each):.2f})" if len(each) > 1 else ""
        print(f"  ratio {name} / {best}{said}, {key}: {statistics.median(each):.2f}{spread}",
              flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/release"))
    parser.add_argument("--only", default="bulk,new,memory,churn", help="some of these")
    parser.add_argument("--proxies", default=",".join(NAMES), help="some of these")
    parser.add_argument("--flavours", default=",".join(FLAVOURS), help="some of these")
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
    parser.add_argument("--rate", type=int, default=1000, help="connections a minute of churn")
    options = parser.parse_args()
    options.flavours = options.flavours.split(",")
    if options.short:
        options.rounds, options.megabytes, options.new = 3, 200, 200
        options.idle, options.soak, options.rate = [1000], 4, 3000
        options.flavours = ["post", "intra"]
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
        elif name == OURS:
            paths.update({f"{name} {flavour}": path for flavour in options.flavours})
        else:
            paths[name] = path
    if not paths:
        return 0
    back = {kind: Server(load, kind) for kind in ("plain", "tls", *options.flavours)}
    bench = Bench(options, load, paths, back)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; "
          f"{options.workers} worker(s) each; medians (least to most) of {options.rounds} rounds")
    # What measures alone has nothing to fail for.
    outcomes = [getattr(bench, part)() for part in options.only.split(",")]
    return 1 if False in outcomes else 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="atls-bench-") as DIR:
        try:
            sys.exit(main())
        except (RuntimeError, subprocess.CalledProcessError) as error:
            print(f"bench: {error}", file=sys.stderr)
            sys.exit(2)
