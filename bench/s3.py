#!/usr/bin/env python3
"""The S3 door on loopback, with TLS and without, beside what is to be compared with: nginx that serves the same bytes as files, RocksDB's synced group
commit for small PUTs, the sealing and opening pipelines for large bodies.

Rounds of all are interleaved, so that a slow spell of the machine hits them alike; what is compared is requests per CPU-second of the server (all
its processes), and printed are medians over the rounds and ratios to ours. Resident memory is that of the gateway after each case. Nothing is
asserted about speed; the exit code is 1 only if a request failed or returned wrong bytes. What the comparison leaves out: nginx answers a PUT without
fsync, signature, sealing or copies, and a GET without looking whether the bytes are right; RocksDB writes one copy on one disk. Archipel answers a
PUT when 4 of 6 islands have synced their sealed shards.
"""
import argparse
import json
import os
import pathlib
import re
import select
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/e2e"))
READY_SECONDS = 120
# (name, op, size, connections, requests at most per round). The count bounds what the disk must hold: 10 MiB is 20 MiB on islands.
CASES = [
    ("PUT 4 KiB", "put", 4 << 10, 32, 1 << 40),
    ("GET 4 KiB", "get", 4 << 10, 32, 1 << 40),
    ("PUT 10 MiB", "put", 10 << 20, 4, 24),
    ("GET 10 MiB", "get", 10 << 20, 4, 1 << 40),
]
# What LIST asks for: (name, bucket, query). Queries as SigV4 wants them, sorted and encoded.
LISTS = [
    ("all keys of a prefix", "wide", "list-type=2&prefix=p0{number:03}%2F"),
    ("root, delimiter: 1,000 prefixes", "wide", "delimiter=%2F&list-type=2"),
    ("depth 0, delimiter", "deep", "delimiter=%2F&list-type=2&prefix=p"),
    ("depth 2, delimiter", "deep", "delimiter=%2F&list-type=2&prefix=d%2Fd%2Fp"),
    ("depth 4, delimiter", "deep", "delimiter=%2F&list-type=2&prefix=d%2Fd%2Fd%2Fd%2Fp"),
    ("depth 8, delimiter", "deep", "delimiter=%2F&list-type=2&prefix=d%2Fd%2Fd%2Fd%2Fd%2Fd%2Fd%2Fd%2Fp"),
]
PART, PARTS, PARTS_AT_ONCE = 64 << 20, 16, 8


class Server:
    """A child process that serves, or one of its doors; ended by its own handle."""

    def __init__(self, name, argv=None, parent=None, **popen):
        self.name, self.parent = name, parent
        self.process = parent.process if parent else subprocess.Popen([str(a) for a in argv], **popen)
        self.endpoint, self.options, self.env = "", [], dict(os.environ)

    def stop(self):
        if self.parent:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def resident_mib(self, what="VmRSS"):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(what + r":\s+(\d+)", status).group(1)) / 1024


def ready_line(server, log):
    readable, _, _ = select.select([server.process.stdout], [], [], READY_SECONDS)
    line = server.process.stdout.readline() if readable else b""
    if not line:
        server.stop()
        sys.exit(f"{server.name} did not get ready; its log ends:\n{log.read_text()[-2000:]}")
    return json.loads(line)


def make_certificate(work):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-keyout", work / "key.pem", "-out", work / "cert.pem"], check=True, stderr=subprocess.DEVNULL)
    (work / "key.pem").chmod(0o600)


def start_archipel(binary, work):
    """The gateway's two doors: without TLS and with."""
    log = work / "archipel.log"
    argv = [binary, "demo", "--dir", work / "cloud", "--listen", "127.0.0.1:0"]
    with open(log, "wb") as err:
        first = Server("archipel", argv, stdout=subprocess.PIPE, stderr=err)
        ready_line(first, log)
        first.stop()
        config = work / "cloud/archipel.toml"
        config.write_text(config.read_text().replace("[listen]\n", '[listen]\nhttps = "127.0.0.1:0"\n', 1)
                          + f'\n[[tls]]\nhosts = ["*"]\ncert = "{work}/cert.pem"\nkey = "{work}/key.pem"\n')
        plain = Server("archipel", argv, stdout=subprocess.PIPE, stderr=err)
    ready = ready_line(plain, log)
    sealed = Server("archipel tls", parent=plain)
    for server, url, more in ((plain, ready["s3"], []), (sealed, ready["s3_tls"], ["--tls"])):
        server.endpoint = urllib.parse.urlsplit(url).netloc
        server.options = ["--access-key", ready["access_key"], "--region", ready["region"], "--create-bucket", *more]
        server.env["ARCHIPEL_BENCH_SECRET"] = ready["secret_key"]
        server.ready = ready
    return plain, sealed


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_nginx(work):
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    port, tls_port = free_port(), free_port()
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
    listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    root {work}/www;
    location / {{ dav_methods PUT; create_full_put_path on; }}
  }}
}}
""")
    plain = Server("nginx", [nginx, "-p", work, "-e", f"{work}/nginx.log", "-c", work / "nginx.conf"])
    plain.endpoint = f"127.0.0.1:{port}"
    sealed = Server("nginx tls", parent=plain)
    sealed.endpoint, sealed.options = f"127.0.0.1:{tls_port}", ["--tls"]
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and plain.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return plain, sealed
        except OSError:
            time.sleep(0.05)
    plain.stop()
    log = work / "nginx.log"
    sys.exit(f"nginx did not start: {log.read_text()[-2000:] if log.exists() else ''}")


def run_json(argv, env=None):
    done = subprocess.run([str(a) for a in argv], env=env, stdout=subprocess.PIPE, text=True, timeout=170)
    if not done.stdout:
        sys.exit(f"{argv[0]}: no result")
    return json.loads(done.stdout)


class Measurer:
    def __init__(self, arguments, work):
        self.build, self.seconds, self.work = arguments.build, arguments.seconds, work

    def served(self, server, case):
        _, op, size, connections, count = case
        return run_json([self.build / "bench/s3load", "--endpoint", server.endpoint, "--op", op, "--size", size, "--connections", connections,
                         "--seconds", self.seconds, "--count", count, "--pid", server.process.pid, *server.options], server.env)

    def group_commit(self, case):
        return run_json([self.build / "bench/bench_group_commit", "--dir", self.work / "rocksdb", "--connections", case[3], "--size", case[2],
                         "--seconds", self.seconds])

    def target(self, server, target, connections=2):
        return run_json([self.build / "bench/s3load", "--endpoint", server.endpoint, "--op", "target", "--target", target, "--connections", connections,
                         "--seconds", self.seconds, "--pid", server.process.pid, *[o for o in server.options if o != "--create-bucket"]], server.env)


def median(results, value):
    return statistics.median(value(r) for r in results)


def report(case, results, pipeline, memory):
    """One line per subject, with the ratios of the medians: ours / theirs, per CPU-second and (for what waits for disks) per second."""
    per_cpu, per_second = {}, {}
    for name, rounds in results.items():
        rounds = [r for r in rounds if r["cpu_seconds"] > 0 and r["requests"] > 0]
        if not rounds:
            print(f"{case[0]:<11} {name:<13} too little CPU time to measure; raise --seconds")
            continue
        per_cpu[name] = median(rounds, lambda r: r["requests"] / r["cpu_seconds"])
        per_second[name] = median(rounds, lambda r: r["requests"] / r["seconds"])
        print(f"{case[0]:<11} {name:<13} {per_cpu[name]:>11.1f} {per_cpu[name] * case[2] / 1e6:>10.1f} {per_second[name]:>10.1f} "
              f"{median(rounds, lambda r: 1e6 * r['cpu_seconds'] / r['requests']):>11.1f} "
              f"{median(rounds, lambda r: 100 * r['system_seconds'] / r['cpu_seconds']):>7.0f}%")
    for ours in ("archipel", "archipel tls"):
        told = []
        for other in ("nginx tls" if "tls" in ours else "nginx", "rocksdb"):
            if ours in per_cpu and other in per_cpu:
                told.append(f"{100 * per_cpu[ours] / per_cpu[other]:.0f} % of {other} per CPU-second"
                            + (f", {100 * per_second[ours] / per_second[other]:.0f} % per second" if other == "rocksdb" else ""))
        if ours in per_cpu and case[1] in pipeline and case[2] > 1 << 20:
            told.append(f"{100 * per_cpu[ours] * case[2] / pipeline[case[1]]:.0f} % of the {'sealing' if case[1] == 'put' else 'opening'} pipeline")
            if case[1] == "put":
                told.append(f"{100 * per_cpu[ours] * case[2] / pipeline['put and MD5']:.0f} % of it with the MD5 that makes the ETag")
        print(f"{case[0]:<11}   {ours}: {'; '.join(told)}; gateway resident {memory:.0f} MiB")


def pipelines(build):
    """Bytes per CPU-second of sealing and opening on one core, of the same run."""
    text = subprocess.run([build / "bench/bench_pipeline"], stdout=subprocess.PIPE, text=True, timeout=170).stdout
    found = re.findall(r"\n(\S[^\n]*)\n  roofline [\d.]+ GB/s, reached ([\d.]+) GB/s", text)
    rates = {}
    for name, rate in found:
        kind = name.partition(":")[0].lower()  # the first of each is the one that all goes well with
        if kind in ("put", "get") and kind not in rates:
            rates[kind] = float(rate) * 1e9
            print(f"pipeline: {name}: {rate} GB/s")
    md5 = float(re.search(r"\n  MD5\b[^\n]* ([\d.]+) GB/s", text).group(1)) * 1e9
    rates["put and MD5"] = 1 / (1 / rates["put"] + 1 / md5)
    print(f"pipeline: the same with MD5, that is for S3's ETag: {rates['put and MD5'] / 1e9:.2f} GB/s")
    return rates


def measure_cases(arguments, work):
    broken, servers = 0, []
    make_certificate(work)
    try:
        servers += start_nginx(work)
        servers += start_archipel(arguments.build / "archipel", work)
        measurer = Measurer(arguments, work)
        pipeline = pipelines(arguments.build)
        print(f"{'':<11} {'server':<13} {'req/CPU-s':>11} {'MB/CPU-s':>10} {'req/s':>10} {'CPU us/req':>11} {'kernel':>8}")
        for case in [c for c in CASES if arguments.case in c[0]]:
            subjects = [(server.name, lambda case=case, server=server: measurer.served(server, case)) for server in servers]
            if case[0] == "PUT 4 KiB":
                subjects.append(("rocksdb", lambda case=case: measurer.group_commit(case)))
            results = {name: [] for name, _ in subjects}
            for number in range(arguments.rounds):
                for name, run in subjects if number % 2 == 0 else reversed(subjects):
                    result = run()
                    results[name].append(result)
                    broken += result["failed"] + result["wrong"]
                    if arguments.json:
                        print(json.dumps({"server": name, **result}))
            report(case, results, pipeline, servers[-1].resident_mib())
            sys.stdout.flush()
        if arguments.case in "multipart":
            for server in servers[2:]:
                multipart(server, work)
        print(f"gateway: resident {servers[-1].resident_mib():.0f} MiB at the end, {servers[-1].resident_mib('VmHWM'):.0f} MiB at most")
    finally:
        for server in servers:
            server.stop()
    return broken


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def multipart(server, work):
    """1 GiB in 16 parts, 8 at a time, by a client of a few lines; then read back whole."""
    import s3  # the signing client of the end-to-end tests
    ready = server.ready
    host, _, port = server.endpoint.rpartition(":")
    context = None
    if "--tls" in server.options:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def client():
        return s3.Client((host, int(port)), ready["access_key"], ready["secret_key"], ready["region"], timeout=120, tls=context)

    body, etags, main = os.urandom(PART), {}, client()
    begun = main.request("POST", "bench", "large", query=[("uploads", "")])
    if begun.status != 200:
        print(f"multipart: not measured: {begun}")
        return
    upload = begun.xml().findtext("UploadId")
    cpu, started = cpu_seconds(server.process.pid), time.monotonic()

    def work_on(numbers):
        own = client()
        for number in numbers:
            answer = own.request("PUT", "bench", "large", body=body, payload=s3.UNSIGNED, query=[("partNumber", str(number)), ("uploadId", upload)])
            etags[number] = answer.headers["etag"] if answer.status == 200 else sys.exit(f"part {number}: {answer}")
        own.close()

    threads = [threading.Thread(target=work_on, args=(range(1 + n, PARTS + 1, PARTS_AT_ONCE),)) for n in range(PARTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    peak = 0.0
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, server.resident_mib())
        time.sleep(0.02)
    parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{etags[n]}</ETag></Part>" for n in sorted(etags))
    done = main.request("POST", "bench", "large", body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode(),
                        query=[("uploadId", upload)])
    took, used = time.monotonic() - started, cpu_seconds(server.process.pid) - cpu
    good = done.status == 200 and main.get("bench", "large", {"range": f"bytes={PART - 5}-{PART + 4}"}).body == body[-5:] + body[:5]
    total = PART * PARTS
    print(f"multipart 1 GiB, {PARTS_AT_ONCE} at a time  {server.name:<13} {total / used / 1e6:.0f} MB/CPU-s, {total / took / 1e6:.0f} MB/s, "
          f"resident {peak:.0f} MiB at most{'' if good else ': WRONG ' + repr(done)}")
    main.delete("bench", "large")
    main.close()


def measure_lists(arguments, work):
    """Pages of LIST over a million keys in a thousand prefixes, in keys (or common prefixes) per CPU-second."""
    log = work / "list.log"
    with open(log, "wb") as err:
        server = Server("list", [arguments.build / "bench/bench_list", work / "list", arguments.keys], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                        stderr=err)
    ready = ready_line(server, log)
    server.endpoint = urllib.parse.urlsplit(ready["s3"]).netloc
    server.options = ["--access-key", ready["access_key"], "--region", ready["region"]]
    server.env["ARCHIPEL_BENCH_SECRET"] = ready["secret_key"]
    measurer, results, broken = Measurer(arguments, work), {name: [] for name, _, _ in LISTS}, 0
    try:
        for number in range(arguments.rounds):
            for name, bucket, query in LISTS:
                result = measurer.target(server, f"/{bucket}?{query.format(number=number % 1000)}")
                results[name].append(result)
                broken += result["failed"]
        print(f"LIST over {arguments.keys} keys in 1000 prefixes, pages of 1,000")
        for name, rounds in results.items():
            print(f"  {name:<33} {median(rounds, lambda r: r['keys'] / r['cpu_seconds']):>10.0f} keys/CPU-s "
                  f"{median(rounds, lambda r: 1000 * r['cpu_seconds'] / r['requests']):>8.2f} CPU ms/page "
                  f"{median(rounds, lambda r: r['keys'] / r['requests']):>7.0f} keys/page")
        print(f"  resident {server.resident_mib():.0f} MiB")
    finally:
        server.process.stdin.close()
        server.process.wait(timeout=60)
    return broken


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build/release", type=pathlib.Path)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--seconds", default=1.5, type=float, help="of each case, round and server")
    parser.add_argument("--case", default="", help="only cases whose name contains this, such as '4 KiB', 'multipart' or 'LIST'")
    parser.add_argument("--keys", default=1_000_000, type=int, help="of LIST")
    parser.add_argument("--json", action="store_true", help="also print each round as a JSON line")
    arguments = parser.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="archipel-bench-"))
    broken = 0
    try:
        if arguments.case != "LIST":
            broken += measure_cases(arguments, work)
        if arguments.case in "LIST":
            broken += measure_lists(arguments, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if broken:
        sys.exit(f"{broken} requests failed or returned wrong bytes")


if __name__ == "__main__":
    main()
