#!/usr/bin/env python3
"""PUT and GET of 4 KiB and 10 MiB through the S3 door on loopback, beside nginx serving the same bytes as files.

Rounds of both servers are interleaved, so that a slow spell of the machine hits both alike; what is compared is requests per CPU-second
of the server (all its processes), and printed is the median over the rounds and the ratio ours / nginx. Nothing is asserted about speed; the
exit code is 1 only if a request failed or returned wrong bytes. What the comparison leaves out: nginx answers a PUT without fsync, signature,
sealing or copies; archipel answers when w islands have synced sealed shards.
"""
import argparse
import json
import os
import pathlib
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
READY_SECONDS = 30
# (name, op, size, connections, requests at most per round). The count bounds what the disk must hold: 10 MiB is 20 MiB on islands.
CASES = [
    ("PUT 4 KiB", "put", 4 << 10, 32, 1 << 40),
    ("GET 4 KiB", "get", 4 << 10, 32, 1 << 40),
    ("PUT 10 MiB", "put", 10 << 20, 4, 24),
    ("GET 10 MiB", "get", 10 << 20, 4, 1 << 40),
]


class Server:
    """A child process that serves; ended by its own handle."""

    def __init__(self, name, argv, **popen):
        self.name, self.process = name, subprocess.Popen(argv, **popen)
        self.endpoint, self.options, self.env = "", [], dict(os.environ)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_archipel(binary, work):
    log = open(work / "archipel.log", "wb")
    server = Server("archipel", [binary, "demo", "--dir", work / "cloud", "--listen", "127.0.0.1:0"],
                    stdout=subprocess.PIPE, stderr=log)
    readable, _, _ = select.select([server.process.stdout], [], [], READY_SECONDS)
    line = server.process.stdout.readline() if readable else b""
    if not line:
        server.stop()
        sys.exit(f"archipel did not get ready; its log ends:\n{(work / 'archipel.log').read_text()[-2000:]}")
    ready = json.loads(line)
    server.endpoint = ready["s3"].removeprefix("http://")
    server.options = ["--access-key", ready["access_key"], "--region", ready["region"], "--create-bucket"]
    server.env["ARCHIPEL_BENCH_SECRET"] = ready["secret_key"]
    return server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nginx(work):
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    port = free_port()
    (work / "www").mkdir()
    # As root the worker would become another user, who may not enter the temporary directory.
    user = "user root;" if os.geteuid() == 0 else ""
    (work / "nginx.conf").write_text(f"""
{user} daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
  client_max_body_size 1g; client_body_temp_path {work}/body; proxy_temp_path {work}/t1; fastcgi_temp_path {work}/t2;
  uwsgi_temp_path {work}/t3; scgi_temp_path {work}/t4;
  server {{
    listen 127.0.0.1:{port};
    root {work}/www;
    location / {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
""")
    server = Server("nginx", [nginx, "-p", work, "-e", f"{work}/nginx.log", "-c", work / "nginx.conf"])
    server.endpoint = f"127.0.0.1:{port}"
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return server
        except OSError:
            time.sleep(0.05)
    server.stop()
    log = work / "nginx.log"
    sys.exit(f"nginx did not start: {log.read_text()[-2000:] if log.exists() else ''}")


def measure(load, server, case, seconds):
    _, op, size, connections, count = case
    argv = [load, "--endpoint", server.endpoint, "--op", op, "--size", size, "--connections", connections, "--seconds", seconds,
            "--count", count, "--pid", server.process.pid, *server.options]
    done = subprocess.run([str(a) for a in argv], env=server.env, stdout=subprocess.PIPE, text=True, timeout=120)
    if not done.stdout:
        sys.exit(f"{server.name}: {case[0]}: no result from the load generator")
    result = json.loads(done.stdout)
    return result


def median(results, value):
    return statistics.median(value(r) for r in results)


def report(case, results):
    """One line per server; the ratio of the medians of requests per server-CPU-second."""
    per_cpu = {}
    for name, rounds in results.items():
        rounds = [r for r in rounds if r["cpu_seconds"] > 0 and r["requests"] > 0]
        if not rounds:
            print(f"{case[0]:<11} {name:<9} too little CPU time to measure; raise --seconds")
            continue
        per_cpu[name] = median(rounds, lambda r: r["requests"] / r["cpu_seconds"])
        print(f"{case[0]:<11} {name:<9} {per_cpu[name]:>11.1f} {per_cpu[name] * case[2] / 1e6:>10.1f} "
              f"{median(rounds, lambda r: r['requests'] / r['seconds']):>10.1f} "
              f"{median(rounds, lambda r: 1e6 * r['cpu_seconds'] / r['requests']):>11.1f} "
              f"{median(rounds, lambda r: 100 * r['system_seconds'] / r['cpu_seconds']):>7.0f}%", end="")
        print(f"   ratio {per_cpu['archipel'] / per_cpu['nginx']:.3f}" if len(per_cpu) == 2 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--seconds", default=1.5, type=float, help="of each case, round and server")
    parser.add_argument("--case", default="", help="only cases whose name contains this, such as '4 KiB'")
    parser.add_argument("--json", action="store_true", help="also print each round as a JSON line")
    arguments = parser.parse_args()
    load = arguments.build / "bench/s3load"
    work = pathlib.Path(tempfile.mkdtemp(prefix="archipel-bench-"))
    servers, broken = [], 0
    try:
        servers.append(start_nginx(work))
        servers.append(start_archipel(arguments.build / "archipel", work))
        print(f"{'':<11} {'server':<9} {'req/CPU-s':>11} {'MB/CPU-s':>10} {'req/s':>10} {'CPU us/req':>11} {'kernel':>8}")
        for case in [c for c in CASES if arguments.case in c[0]]:
            results = {server.name: [] for server in servers}
            for number in range(arguments.rounds):
                for server in servers if number % 2 == 0 else reversed(servers):
                    result = measure(load, server, case, arguments.seconds)
                    results[server.name].append(result)
                    broken += result["failed"] + result["wrong"]
                    if arguments.json:
                        print(json.dumps({"server": server.name, **result}))
            report(case, results)
            sys.stdout.flush()
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(work, ignore_errors=True)
    if broken:
        sys.exit(f"{broken} requests failed or returned wrong bytes")


if __name__ == "__main__":
    main()
