"""P2 at the socket: islands whose bytes were changed while the gateway runs. Right bytes, or a body that visibly breaks off; never another."""
import re

import base
import gateway
import s3

EXTENT = 126 * 65536  # 8 MiB in whole stripes of three segments


class Attacks(base.Case):
    once_is_enough = in_memory = True

    def begin(self):
        cloud = self.new_gateway()
        cloud.start()
        client = cloud.client()
        self.addCleanup(client.close)
        self.expect(client.make_bucket("attacks"), 200)
        body = base.pattern(3 * EXTENT, 1)
        self.expect(client.put("attacks", "large", body), 200)
        self.wait_for_all_islands(cloud)
        # The shards of its extents, in the order in which they came, by island.
        shards = {i: sorted((f for f in cloud.island(i).rglob("*") if f.is_file() and f.stat().st_size > EXTENT // 4),
                            key=lambda f: f.stat().st_mtime_ns) for i in gateway.ISLANDS}
        for found in shards.values():
            self.assertEqual(len(found), 3)
        return cloud, client, body, shards

    def flip(self, file, at):
        data = bytearray(file.read_bytes())
        data[at] ^= 1
        file.write_bytes(data)

    def blamed(self, cloud):
        return {i for i, n in re.findall(r'(?m)^archipel_island_wrong_cells_total\{island="([^"]+)"\} (\d+)', cloud.metrics()) if int(n) > 0}

    def get_raw(self, cloud, headers=None):
        """(status, what arrived, whether it looked whole)."""
        wire = s3.Wire(cloud.address, timeout=90)
        self.addCleanup(wire.close)
        wire.send(cloud.client().build("GET", "attacks", "large", headers=headers))
        status, fields = wire.head()
        length, got = int(fields["content-length"]), wire.pending
        try:
            while len(got) < length:
                more = wire.socket.recv(1 << 20)
                if not more:
                    break
                got += more
        except OSError:
            pass
        return status, got, len(got) >= length

    def test_three_islands_lie_and_nobody_notices_but_the_log(self):
        cloud, client, body, shards = self.begin()
        liars = gateway.ISLANDS[:3]
        for island in liars:
            for file in shards[island]:
                self.flip(file, 128 + 70_000)
        self.assertEqual(base.sha256(self.expect(client.get("attacks", "large"), 200).body), base.sha256(body))
        blamed = self.blamed(cloud)
        self.assertTrue(blamed and blamed <= set(liars), f"{blamed} were blamed for the lies of {liars}")
        for island in blamed:
            self.assertRegex(cloud.stderr(), rf"event=island\.lied .*{island}")
        self.assertEqual(cloud.stop(), 0, cloud.stderr())

    def test_four_islands_lie_late_in_a_body_and_it_breaks_off(self):
        cloud, client, body, shards = self.begin()
        for island in gateway.ISLANDS[:4]:
            self.flip(shards[island][2], 128 + 70_000)
        status, got, whole = self.get_raw(cloud)
        self.assertFalse(whole, "a wrong body looked whole")
        self.assertEqual(status, 200)
        self.assertGreaterEqual(len(got), EXTENT, "what is right before the lie may be had")
        self.assertEqual(base.sha256(got), base.sha256(body[:len(got)]), "a byte left that was not verified")
        self.assertLess(len(got), 3 * EXTENT)
        # Before the lie all is well; a range within it is an error that tells nothing.
        first = self.expect(client.get("attacks", "large", {"range": f"bytes=100-{EXTENT}"}), 206)
        self.assertEqual(base.sha256(first.body), base.sha256(body[100:EXTENT + 1]))
        status, got, whole = self.get_raw(cloud, {"range": f"bytes={2 * EXTENT + 3 * 65536 + 10}-{2 * EXTENT + 3 * 65536 + 50}"})
        self.assertTrue(status >= 500 or not got, (status, got))
        self.assertEqual(client.head("attacks", "large").headers["content-length"], str(3 * EXTENT))
        self.assertEqual(cloud.stop(), 0, cloud.stderr())
