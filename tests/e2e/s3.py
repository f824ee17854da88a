"""A small S3 client on sockets: SigV4 written from its specification, every part of a request open to being wrong on purpose.

Standard library only, and none of the server's code: two implementations must agree. Keys are text (sent as UTF-8) or bytes.
"""
import base64
import datetime
import hashlib
import hmac
import socket
import struct
import urllib.parse
import xml.etree.ElementTree as ElementTree
import zlib

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


def encode(text, safe="-._~"):
    return urllib.parse.quote(text, safe=safe)


def crc32(data):
    return struct.pack(">I", zlib.crc32(data))


def _reflected_table(polynomial, bits):
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ polynomial if value & 1 else value >> 1
        table.append(value)
    return table, (1 << bits) - 1


_CRC32C = _reflected_table(0x82F63B78, 32)
_CRC64NVME = _reflected_table(0x9A6C9329AC4BC9B5, 64)


def _crc(tables, data):
    table, mask = tables
    value = mask
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ mask


def crc32c(data):
    return struct.pack(">I", _crc(_CRC32C, data))


def crc64nvme(data):
    return struct.pack(">Q", _crc(_CRC64NVME, data))


CHECKSUMS = {"crc32": crc32, "crc32c": crc32c, "crc64nvme": crc64nvme,
             "sha1": lambda d: hashlib.sha1(d).digest(), "sha256": lambda d: hashlib.sha256(d).digest()}


def checksum_text(kind, data):
    return base64.b64encode(CHECKSUMS[kind](data)).decode()


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        """The S3 error code of the body, or ''."""
        try:
            return ElementTree.fromstring(self.body).findtext("Code") or ""
        except ElementTree.ParseError:
            return ""

    def xml(self):
        """The body with the S3 name space taken off."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.partition("}")[2] or element.tag
        return root

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Incomplete(Exception):
    """The connection ended before the response was whole."""


class Wire:
    """One connection; raw bytes out, parsed responses in."""

    def __init__(self, address, timeout=60, tls=None):
        """`tls`: an ssl.SSLContext, for a port that speaks it."""
        self.socket = socket.create_connection(address, timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self.pending = b""

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise Incomplete(f"connection closed with {len(self.pending)} bytes of a response pending")
        self.pending += data

    def _line(self):
        while b"\r\n" not in self.pending:
            self._more()
        line, _, self.pending = self.pending.partition(b"\r\n")
        return line

    def _exactly(self, size):
        parts, have = [self.pending], len(self.pending)
        while have < size:
            data = self.socket.recv(1 << 18)
            if not data:
                raise Incomplete(f"body ended after {have} of {size} bytes")
            parts.append(data)
            have += len(data)
        joined = b"".join(parts)
        self.pending = joined[size:]
        return joined[:size]

    def head(self):
        """(status, headers) of the next response head, interim ones included."""
        status = int(self._line().split(b" ", 2)[1])
        headers = {}
        while True:
            line = self._line()
            if not line:
                return status, headers
            name, _, value = line.partition(b":")
            headers[name.decode().lower()] = value.strip().decode("latin-1")

    def receive(self, method="GET"):
        status, headers = self.head()
        while status < 200:
            status, headers = self.head()
        if method == "HEAD" or status in (204, 304):
            return Response(status, headers, b"")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while True:
                size = int(self._line().split(b";")[0], 16)
                chunk = self._exactly(size)
                if size == 0:
                    while self._line():
                        pass
                    return Response(status, headers, body)
                body += chunk
                if self._exactly(2) != b"\r\n":
                    raise Incomplete("bad chunk")
        if "content-length" in headers:
            return Response(status, headers, self._exactly(int(headers["content-length"])))
        raise Incomplete("a response without a length")

    def closed(self):
        """True if the server closes within the socket's timeout without sending more."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()


class Client:
    """Signs and sends. Keeps one connection alive; not for several threads at once."""

    def __init__(self, address, access_key, secret_key, region="archipel-1", timeout=60, tls=None):
        self.tls = tls
        self.address, self.access_key, self.secret_key = address, access_key, secret_key
        self.region, self.timeout = region, timeout
        self.wire = None

    # Building requests ------------------------------------------------------------------------------------------------------

    def target(self, bucket=None, key=None, query=()):
        path = "/" if bucket is None else "/" + encode(bucket)
        if key is not None:
            path += "/" + encode(key, "/-._~")
        return path + ("?" + "&".join(encode(n) + ("=" + encode(v) if v is not None else "") for n, v in query) if query else "")

    def signing_key(self, day):
        key = ("AWS4" + self.secret_key).encode()
        for part in (day, self.region, "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        return key

    def sign(self, method, target, headers, payload_hash, when=None):
        """Adds x-amz-date, x-amz-content-sha256 and Authorization to `headers` (lower-case names; all are signed)."""
        when = when or datetime.datetime.now(datetime.timezone.utc)
        stamp = when.strftime("%Y%m%dT%H%M%SZ")
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload_hash
        path, _, query = target.partition("?")
        pairs = sorted(tuple((p.partition("=")[0], p.partition("=")[2])) for p in query.split("&")) if query else []
        names = sorted(n for n in headers if n not in ("connection", "expect", "transfer-encoding", "user-agent"))
        canonical = "\n".join([method, path, "&".join(f"{n}={v}" for n, v in pairs),
                               "".join(f"{n}:{' '.join(str(headers[n]).split())}\n" for n in names), ";".join(names), payload_hash])
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(self.signing_key(stamp[:8]), to_sign.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
                                    f"SignedHeaders={';'.join(names)}, Signature={signature}")
        return stamp, scope, signature

    def host(self):
        return f"{self.address[0]}:{self.address[1]}"

    def build(self, method, bucket=None, key=None, query=(), headers=None, body=b"", payload=None, target=None, when=None,
              length=None, spoil=None):
        """The head of a signed request as bytes. `payload` is the x-amz-content-sha256 value (default: the body's digest);
        `length` overrides content-length (None: the body's, if any); `spoil(headers)` may break the headers after signing."""
        target = target if target is not None else self.target(bucket, key, query)
        fields = {"host": self.host()}
        for name, value in (headers or {}).items():
            fields[name.lower()] = value
        if payload is None:
            payload = hashlib.sha256(body).hexdigest()
        self.sign(method, target, fields, payload, when)
        if "transfer-encoding" not in fields and (body or length is not None or method in ("PUT", "POST")):
            fields["content-length"] = str(len(body) if length is None else length)
        if spoil:
            spoil(fields)
        lines = [f"{method} {target} HTTP/1.1"] + [f"{n}: {v}" for n, v in fields.items() if v is not None]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")

    # Sending ----------------------------------------------------------------------------------------------------------------

    def request(self, method, bucket=None, key=None, body=b"", **more):
        head = self.build(method, bucket, key, body=body, **more)
        return self.exchange(method, head + body)

    def exchange(self, method, data):
        """Sends on the kept connection. A connection that the server had closed while idle is replaced once."""
        fresh = self.wire is None
        if fresh:
            self.wire = Wire(self.address, self.timeout, self.tls)
        try:
            self.wire.send(data)
            response = self.wire.receive(method)
        except (OSError, Incomplete):
            self.close()
            raise
        if response.headers.get("connection", "").lower() == "close":
            self.close()
        return response

    def close(self):
        if self.wire:
            self.wire.close()
        self.wire = None

    def unsigned_trailer(self, body, kind, chunk=65536, value=None, decoded=None):
        """(encoded body, headers) of a STREAMING-UNSIGNED-PAYLOAD-TRAILER upload with one checksum trailer."""
        text = value if value is not None else checksum_text(kind, body)
        out = [b"%x\r\n%s\r\n" % (len(body[i:i + chunk]), body[i:i + chunk]) for i in range(0, len(body), chunk)]
        out.append(b"0\r\nx-amz-checksum-%s:%s\r\n\r\n" % (kind.encode(), text.encode()))
        return b"".join(out), {"content-encoding": "aws-chunked", "x-amz-trailer": f"x-amz-checksum-{kind}",
                               "x-amz-decoded-content-length": str(len(body) if decoded is None else decoded)}

    def put_trailer(self, bucket, key, body, kind, chunk=65536, value=None, decoded=None, mangle=None):
        encoded, headers = self.unsigned_trailer(body, kind, chunk, value, decoded)
        if mangle:
            encoded = mangle(encoded)
        return self.request("PUT", bucket, key, body=encoded, headers=headers, payload=UNSIGNED_TRAILER)

    # The usual operations ---------------------------------------------------------------------------------------------------

    def put(self, bucket, key, body, headers=None):
        return self.request("PUT", bucket, key, body=body, headers=headers)

    def get(self, bucket, key, headers=None):
        return self.request("GET", bucket, key, headers=headers)

    def head(self, bucket, key, headers=None):
        return self.request("HEAD", bucket, key, headers=headers)

    def delete(self, bucket, key):
        return self.request("DELETE", bucket, key)

    def make_bucket(self, bucket):
        return self.request("PUT", bucket)

    def list_keys(self, bucket, prefix="", page=1000):
        """Every key, by ListObjectsV2 pages."""
        keys, token = [], None
        while True:
            query = [("list-type", "2"), ("max-keys", str(page)), ("prefix", prefix), ("encoding-type", "url")]
            if token:
                query.append(("continuation-token", token))
            response = self.request("GET", bucket, query=sorted(query))
            if response.status != 200:
                raise AssertionError(f"list of {bucket}: {response}")
            root = response.xml()
            keys += [urllib.parse.unquote_plus(e.text or "") for e in root.findall("Contents/Key")]
            if root.findtext("IsTruncated") != "true":
                return keys
            token = root.findtext("NextContinuationToken")
