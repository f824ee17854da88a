"""Load that remembers what it was told. Several threads write; each key has one writer, so what may be read back is known exactly:
the last acknowledged state, or a later one whose answer never came (a client's 5xx or hang-up may still become visible)."""
import random
import threading

import base
import s3

SIZES = (0, 100, 4096, 70_000, 131_072, 131_073, 400_000, 1_500_000)


class Writer(threading.Thread):
    def __init__(self, gateway, bucket, number, seed, read_share=0.0):
        super().__init__(daemon=True)
        self.client = gateway.client(timeout=60)
        self.bucket, self.number, self.read_share = bucket, number, read_share
        self.random = random.Random(f"{seed}/{number}")
        self.known = {}      # key -> digest of the acknowledged body, or None if acknowledged as deleted
        self.maybe = {}      # key -> [digests or None] of later attempts without an answer
        self.acknowledged = 0
        self.wrong = []      # reads of acknowledged keys that gave something else
        self.refusals = []   # answers that were neither 2xx nor a lost connection
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            self.step()

    def read(self):
        """An acknowledged key whose state is not in doubt, read by its only writer: exactly that."""
        certain = [k for k in self.known if k not in self.maybe]
        if not certain:
            return
        key = self.random.choice(certain)
        try:
            response = self.client.get(self.bucket, key)
        except (OSError, s3.Incomplete):
            self.client.close()
            return
        state = base.sha256(response.body) if response.status == 200 else None
        if response.status in (200, 404) and state != self.known[key]:
            self.wrong.append(f"{key}: {response}")

    def step(self):
        if self.read_share and self.random.random() < self.read_share:
            self.read()
            return
        key = f"w{self.number}/{self.random.randrange(60)}"
        body = None if self.known.get(key) and self.random.random() < 0.15 else \
            self.random.randbytes(self.random.choice(SIZES))
        digest = None if body is None else base.sha256(body)
        try:
            response = self.client.delete(self.bucket, key) if body is None else self.client.put(self.bucket, key, body)
        except (OSError, s3.Incomplete):
            self.maybe.setdefault(key, []).append(digest)
            self.client.close()
            self.ending.wait(0.02)  # the gateway may be gone: no need to spin
            return
        if response.status in (200, 204):
            self.known[key] = digest
            self.maybe.pop(key, None)
            self.acknowledged += 1
        else:
            if response.status >= 500:
                self.maybe.setdefault(key, []).append(digest)
            self.refusals.append(repr(response))


class Load:
    """`with Load(...) as load:` runs the writers; leaving joins them. Call run() again after a restart: what was learnt stays."""

    def __init__(self, gateway, bucket, threads=4, seed=0, read_share=0.0):
        self.gateway, self.bucket = gateway, bucket
        self.writers = [Writer(gateway, bucket, n, seed, read_share) for n in range(threads)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, *_):
        for writer in self.writers:
            writer.ending.set()
        for writer in self.writers:
            writer.join(60)
        return False

    def acknowledged(self):
        return sum(w.acknowledged for w in self.writers)

    def wait_for(self, count, watch=lambda: None):
        """Until `count` acknowledgements in all; `watch` may raise. The test's own time bound ends it if they never come."""
        tick = threading.Event()
        while self.acknowledged() < count:
            watch()
            tick.wait(0.01)

    def keys(self):
        out = {}
        for writer in self.writers:
            for key in set(writer.known) | set(writer.maybe):
                out[key] = [writer.known.get(key), *writer.maybe.get(key, [])]
        return out

    def verify(self, case, client):
        """Every key reads as one of the states it may have, the listing agrees, and a second read says the same. From then on the
        state that was read is the only one allowed. Returns how many objects were compared."""
        case.assertEqual([w for writer in self.writers for w in writer.wrong], [], "read while writing")
        seen = {}
        for key, allowed in sorted(self.keys().items()):
            response = client.get(self.bucket, key)
            if response.status == 404:
                case.assertEqual(response.code, "NoSuchKey", key)
                state = None
            else:
                case.assertEqual(response.status, 200, f"{key}: {response}")
                state = base.sha256(response.body)
            case.assertIn(state, allowed, f"{key} is neither what was acknowledged nor a later attempt: {response}")
            seen[key] = state
        case.assertEqual(sorted(client.list_keys(self.bucket)), sorted((k for k, s in seen.items() if s), key=str.encode))
        for writer in self.writers:
            for key in list(set(writer.known) | set(writer.maybe)):
                writer.known[key] = seen[key]
            writer.maybe.clear()
        return sum(1 for s in seen.values() if s)

    def again(self):
        """New threads with the same memory, for after a restart."""
        old, self.writers = self.writers, []
        for before in old:
            writer = Writer(self.gateway, self.bucket, before.number, f"again/{before.acknowledged}", before.read_share)
            writer.known, writer.maybe, writer.wrong = before.known, before.maybe, before.wrong
            self.writers.append(writer)
        return self
