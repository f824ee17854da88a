"""Clients that are slow, many, or gone do not hold up the others."""
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
