"""The edge's disk tier through kill -9: what lay on disk is served again, every body as the origin made it, and nothing that was purged."""
import concurrent.futures
import hashlib
import http.client
import threading
import time

import test_edge
from edge import EdgeCase

HOST = {"Host": "www.example.org"}
OBJECTS = 600


def made(target):
    """30 to 60 KiB that only this target has."""
    size = 30_000 + int.from_bytes(hashlib.sha256(target.encode()).digest()[:2], "big") % 30_000
    return (hashlib.sha256(target.encode()).hexdigest().encode() * (size // 64 + 1))[:size]


def answer(request):
    fields = [("cache-control", "max-age=3600"), ("etag", f'"{request[1]}"'), ("cache-tag", "odd" if request[1][-1] in "13579" else "even")]
    return 200, fields, made(request[1])


class DiskTier(EdgeCase):
    once_is_enough = True

    def number(self, edge, name):
        for line in edge.admin("/metrics", token=False).body.decode().splitlines():
            if line.startswith(f"archipel_edge_cache_{name} "):
                return int(float(line.split()[1]))
        self.fail(f"no archipel_edge_cache_{name} in /metrics")

    def all_of(self, edge, rounds=1):
        def one(target):
            response = edge.get(target, HOST)
            return response.status == 200 and response.body == made(target)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return all(pool.map(one, [f"/{i}" for _ in range(rounds) for i in range(OBJECTS)]))

    def warm_edge(self, origin):
        # Memory for a tenth of the objects: the rest goes to disk, at its second use.
        edge = self.new_edge('[cache]\nmemory = "4M"\ndisk = "disk"\ndisk_size = "256M"\n' + test_edge.site(origin))
        self.assertTrue(self.all_of(edge, rounds=4))

        def warm():  # what is admitted is written beside requests
            return self.number(edge, "disk_objects") >= OBJECTS * 0.8 or not self.all_of(edge)
        self.until(warm, "most objects are on disk")
        return edge, self.number(edge, "disk_objects")

    def test_kill_under_load_with_a_warm_disk_tier(self):
        origin = self.new_origin(answer)
        edge, on_disk = self.warm_edge(origin)
        self.assertEqual(edge.admin("/purge", "POST", {"tag": "odd", "site": "www"}).status, 200)
        odd = OBJECTS // 2

        stop, wrong, waited = threading.Event(), [], threading.Event()

        def load():
            number = 0
            while not stop.is_set():
                number = (number + 2) % OBJECTS
                try:
                    if edge.get(f"/{number}", HOST).body != made(f"/{number}"):
                        wrong.append(number)
                except (OSError, http.client.HTTPException):
                    return  # it was killed

        clients = [threading.Thread(target=load) for _ in range(4)]
        for client in clients:
            client.start()
        waited.wait(0.5)
        edge.process.kill()
        edge.process.wait()
        stop.set()
        for client in clients:
            client.join()
        self.assertEqual(wrong, [])

        began = time.monotonic()
        edge.start()
        origin.forget()
        self.assertTrue(self.all_of(edge))
        fetched = [r[1] for r in origin.seen()]
        even_again = [t for t in fetched if t[-1] not in "13579"]
        self.assertEqual(len(fetched) - len(even_again), odd, "what was purged is fetched again, and once")
        self.assertLessEqual(len(even_again), OBJECTS - odd - 0.95 * (on_disk - odd), "95 % of what lay on disk are hits again")
        print(f"    {on_disk} of {OBJECTS} objects on disk; after kill -9 all were asked for in {time.monotonic() - began:.1f} s: "
              f"{len(even_again)} of {OBJECTS - odd} that were not purged had to be fetched again; {edge.rss() >> 20} MiB resident", flush=True)
        self.end_well(edge)

    def test_second_process_on_the_directory_goes_without_it(self):
        origin = self.new_origin(answer)
        edge, on_disk = self.warm_edge(origin)
        second = self.new_edge(f'[cache]\nmemory = "4M"\ndisk = "{edge.home / "disk"}"\ndisk_size = "256M"\n' + test_edge.site(origin))
        self.assertEqual(self.number(second, "disk_writable"), 0)
        self.assertTrue(self.all_of(second))
        self.assertIn("another process uses the cache", second.stderr())
        self.assertTrue(self.all_of(edge))
        self.assertEqual(self.number(edge, "disk_corrupt_total"), 0)
        self.end_well(second)
        self.end_well(edge)

    def test_damaged_disk_serves_no_wrong_byte(self):
        origin = self.new_origin(answer)
        edge, on_disk = self.warm_edge(origin)
        # Under the running process: every 16th block of 4 KiB is zeros, and a bit is wrong in every 64th.
        with open(edge.home / "disk" / "data.00000", "r+b") as file:
            for at in range(0, 64 << 20, 64 << 10):
                file.seek(at)
                file.write(bytes(4096))
            for at in range(40_000, 64 << 20, 256 << 10):
                file.seek(at)
                bit = bytes([file.read(1)[0] ^ 4])
                file.seek(at)
                file.write(bit)
        self.assertTrue(self.all_of(edge, rounds=2))
        self.assertGreater(self.number(edge, "disk_corrupt_total"), on_disk // 4)
        edge.process.kill()
        edge.process.wait()
        edge.start()
        self.assertTrue(self.all_of(edge, rounds=2))
        self.end_well(edge)
