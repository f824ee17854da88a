"""Clients that are slow, many, or gone do not hold up the others."""
import pathlib
import resource
import statistics
import threading
import time

import base
import s3


class SlowClients(base.Shared):
    def test_a_slow_reader_gets_every_byte_and_holds_up_nobody(self):
        data = base.pattern(24 << 20)
        self.expect(self.client.put(self.bucket, "large", data), 200)
        slow = s3.Wire(self.gateway.address, timeout=90)
        self.addCleanup(slow.close)
        slow.send(self.client.build("GET", self.bucket, "large"))
        status, headers = slow.head()
        self.assertEqual(status, 200)
        # While it does not read, others are served.
        for number in range(20):
            self.expect(self.client.put(self.bucket, f"small{number}", b"x" * 1000), 200)
            self.assertEqual(self.client.get(self.bucket, f"small{number}").body, b"x" * 1000)
        self.assertEqual(base.sha256(slow._exactly(int(headers["content-length"]))), base.sha256(data))

    def test_half_open_requests_hold_up_nobody(self):
        waiting = []
        for number in range(50):
            wire = s3.Wire(self.gateway.address)
            self.addCleanup(wire.close)
            if number % 2:
                wire.send(b"PUT /" + self.bucket.encode() + b"/x HTTP/1.1\r\nhost: ")
            else:
                wire.send(self.client.build("PUT", self.bucket, f"half{number}", body=b"x" * 300_000) + b"x" * 100_000)
            waiting.append(wire)
        for number in range(10):
            self.expect(self.client.put(self.bucket, f"whole{number}", base.pattern(100_000, number)), 200)
        for wire in waiting:
            wire.close()
        self.assertEqual(self.client.list_keys(self.bucket), [f"whole{n}" for n in range(10)])

    def test_a_reader_that_hangs_up_leaves_the_gateway_serving(self):
        self.expect(self.client.put(self.bucket, "large", base.pattern(8 << 20)), 200)
        for _ in range(10):
            wire = s3.Wire(self.gateway.address)
            wire.send(self.client.build("GET", self.bucket, "large"))
            wire.head()
            wire.close()
        self.assertEqual(len(self.client.get(self.bucket, "large").body), 8 << 20)


def resident_mib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Neighbour(threading.Thread):
    """Somebody who stores and reads small objects meanwhile, and notes how long each takes."""

    def __init__(self, cloud, bucket):
        super().__init__(daemon=True)
        self.client, self.bucket = cloud.client(), bucket
        self.ending, self.milliseconds, self.failures = threading.Event(), [], []

    def run(self):
        number = 0
        while not self.ending.is_set():
            number += 1
            data = base.pattern(4096, number % 7)
            began = time.monotonic()
            stored = self.client.put(self.bucket, f"neighbour{number % 10}", data)
            got = self.client.get(self.bucket, f"neighbour{number % 10}")
            self.milliseconds.append((time.monotonic() - began) * 1000)
            if stored.status != 200 or got.body != data:
                self.failures.append(f"{stored} {got}")
            self.ending.wait(0.05)
        self.client.close()

    def stop(self):
        self.ending.set()
        self.join(120)
        ordered = sorted(self.milliseconds)
        return f"{len(ordered)} PUT+GET of 4 KiB: median {statistics.median(ordered):.0f} ms, p99 {ordered[len(ordered) * 99 // 100]:.0f} ms"


class ManySlowUploads(base.Shared):
    seconds_max = 600
    UPLOADS = 1000
    # Longer than anybody waits for memory before he is told to slow down.
    SECONDS = 40

    def test_a_thousand_at_once_are_kept_whole_and_hold_up_nobody(self):
        files, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (files, hard))
        before = resident_mib(self.gateway.ready["pid"])
        quiet = Neighbour(self.gateway, self.bucket)
        quiet.start()
        quiet.ending.wait(3)
        alone = quiet.stop()

        # Announced, they are 330 MB; as extents with their parity and buffers, three times the gateway's budget.
        sizes = [3_000_000 if n % 20 == 0 else 200_000 - n for n in range(self.UPLOADS)]
        uploads = []
        for number, size in enumerate(sizes):
            wire = s3.Wire(self.gateway.address, timeout=120)
            self.addCleanup(wire.close)
            wire.send(self.client.build("PUT", self.bucket, f"slow{number}", length=size, payload=s3.UNSIGNED))
            uploads.append([wire, base.pattern(size, number), 0])
        neighbour = Neighbour(self.gateway, self.bucket)
        neighbour.start()
        peak, rounds = 0.0, 8
        began = time.monotonic()
        tick = threading.Event()
        for turn in range(1, rounds + 1):
            for upload in uploads:
                wire, data, sent = upload
                upto = len(data) * turn // rounds - (1 if turn == rounds else 0)
                wire.send(data[sent:upto])
                upload[2] = upto
                peak = max(peak, resident_mib(self.gateway.ready["pid"])) if upto % 50 == 0 else peak
            # As slow clients do; the last byte of each stays back until then.
            tick.wait(max(0.0, began + self.SECONDS * turn / rounds - time.monotonic()))
            peak = max(peak, resident_mib(self.gateway.ready["pid"]))
        for wire, data, sent in uploads:
            wire.send(data[sent:])
        refused = []
        for number, (wire, _, _) in enumerate(uploads):
            answer = wire.receive("PUT")
            if answer.status != 200:
                refused.append(f"slow{number}: {answer}")
        told = neighbour.stop()
        self.assertEqual(refused, [])
        self.assertEqual(neighbour.failures, [])
        for number in range(0, self.UPLOADS, 9):
            self.assertEqual(base.sha256(self.client.get(self.bucket, f"slow{number}").body), base.sha256(uploads[number][1]), number)
        print(f"      {self.UPLOADS} slow uploads: resident memory {before:.0f} MiB before, {peak:.0f} MiB at most; beside them {told}; "
              f"alone {alone}", flush=True)
