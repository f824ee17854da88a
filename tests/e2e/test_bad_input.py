"""Wrong requests of every kind get the S3 error for it, store nothing, and leave the gateway serving."""
import base64
import datetime
import hashlib
import re
import socket

import base
import s3

BODY = b"what must not be stored unless everything about it is right"


class BadInput(base.Shared):
    def setUp(self):
        super().setUp()
        self.before = self.client.list_keys(self.bucket)

    def nothing_stored(self):
        self.assertEqual(self.client.list_keys(self.bucket), self.before)

    def send_raw(self, data, method="GET", timeout=60):
        """Sends bytes on a new connection; returns the response and the wire (closed at the end of the test)."""
        wire = s3.Wire(self.gateway.address, timeout)
        self.addCleanup(wire.close)
        wire.send(data)
        return wire.receive(method), wire

    def still_serving(self):
        with_new_connection = self.gateway.client()
        self.addCleanup(with_new_connection.close)
        self.expect(with_new_connection.request("GET"), 200)

    # Signatures ---------------------------------------------------------------------------------------------------------------

    def test_wrong_signatures_are_refused(self):
        def flip(fields):
            last = fields["authorization"][-1]
            fields["authorization"] = fields["authorization"][:-1] + ("0" if last != "0" else "1")

        def other_date(fields):
            fields["x-amz-date"] = "20200101T000000Z"

        def added_header(fields):
            fields["x-amz-meta-added"] = "after signing"

        def broken(text):
            return lambda fields: fields.update(authorization=text)

        def changed_digest(fields):
            fields["x-amz-content-sha256"] = hashlib.sha256(b"other").hexdigest()

        cases = {
            "one digit": (flip, ("SignatureDoesNotMatch",)),
            "another date": (other_date, ("SignatureDoesNotMatch", "RequestTimeTooSkewed", "AccessDenied", "AuthorizationHeaderMalformed")),
            "a header added": (added_header, ("SignatureDoesNotMatch", "AccessDenied")),
            "another digest": (changed_digest, ("SignatureDoesNotMatch", "XAmzContentSHA256Mismatch")),
            "no date": (lambda f: f.pop("x-amz-date"), ("AccessDenied", "MissingSecurityHeader", "InvalidRequest", "AuthorizationHeaderMalformed", "SignatureDoesNotMatch")),
            "rubbish": (broken("AWS4-HMAC-SHA256 nonsense"), ("AuthorizationHeaderMalformed", "AccessDenied", "InvalidArgument")),
            "empty": (broken("AWS4-HMAC-SHA256"), ("AuthorizationHeaderMalformed", "AccessDenied", "InvalidArgument")),
            "version 2": (broken("AWS AKIDEXAMPLE:signature="), ("AccessDenied", "InvalidArgument", "InvalidRequest", "NotImplemented", "AuthorizationHeaderMalformed")),
            "anonymous": (lambda f: f.pop("authorization"), ("AccessDenied",)),
        }
        for name, (spoil, codes) in cases.items():
            with self.subTest(name):
                response, _ = self.send_raw(self.client.build("PUT", self.bucket, "k", body=BODY, spoil=spoil) + BODY, "PUT")
                self.assertIn(response.status, (400, 403, 501), response)
                self.assertIn(response.code, codes, response)
        self.nothing_stored()

    def test_an_unknown_access_key_is_refused(self):
        stranger = s3.Client(self.gateway.address, "AKNOBODYKNOWSTHISKEY", "some-secret-of-theirs")
        self.addCleanup(stranger.close)
        self.expect(stranger.put(self.bucket, "k", BODY), 403, "InvalidAccessKeyId")
        wrong = s3.Client(self.gateway.address, self.client.access_key, self.client.secret_key + "x")
        self.addCleanup(wrong.close)
        self.expect(wrong.put(self.bucket, "k", BODY), 403, "SignatureDoesNotMatch")
        self.nothing_stored()

    def test_a_clock_far_off_is_refused(self):
        for minutes in (-20, 20):
            when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
            self.expect(self.client.request("PUT", self.bucket, "k", body=BODY, when=when), 403, "RequestTimeTooSkewed")
        self.nothing_stored()

    def test_a_body_that_does_not_match_its_digest_is_refused(self):
        signed = hashlib.sha256(BODY).hexdigest()
        other = BODY[:-1] + b"!"
        response = self.client.exchange("PUT", self.client.build("PUT", self.bucket, "k", body=BODY, payload=signed) + other)
        self.expect(response, 400, ("XAmzContentSHA256Mismatch", "BadDigest"))
        headers = {"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}  # the MD5 of nothing
        self.expect(self.client.put(self.bucket, "k", BODY, headers), 400, "BadDigest")
        self.expect(self.client.put(self.bucket, "k", BODY, {"content-md5": "not base64"}), 400, "InvalidDigest")
        self.expect(self.client.put(self.bucket, "k", BODY, {"x-amz-checksum-crc32": s3.checksum_text("crc32", other)}), 400,
                    ("BadDigest", "XAmzContentChecksumMismatch", "InvalidRequest"))
        self.nothing_stored()

    # Bodies -------------------------------------------------------------------------------------------------------------------

    def test_trailers_of_every_kind_are_verified(self):
        big = base.pattern(200_001)
        for kind in ("crc32", "crc32c", "crc64nvme"):
            with self.subTest(kind):
                self.expect(self.client.put_trailer(self.bucket, "good", big, kind), 200)
                self.assertEqual(self.client.get(self.bucket, "good").body, big)
                told = self.client.head(self.bucket, "good", {"x-amz-checksum-mode": "ENABLED"})
                self.assertEqual(told.headers.get("x-amz-checksum-" + kind), s3.checksum_text(kind, big), told)
                self.expect(self.client.put_trailer(self.bucket, "bad", big, kind, value=s3.checksum_text(kind, b"other")), 400,
                            ("BadDigest", "XAmzContentChecksumMismatch"))
                self.expect(self.client.put_trailer(self.bucket, "bad", big, kind, value="AAAA"), 400)
                self.client.close()
        self.assertEqual(self.client.list_keys(self.bucket), ["good"])
        self.client.delete(self.bucket, "good")

    def test_broken_chunks_are_refused(self):
        def mangled(change):
            return lambda encoded: change(encoded)

        cases = {
            "not hexadecimal": lambda e: b"zz" + e[2:],
            "negative": lambda e: b"-1" + e[2:],
            "huge": lambda e: b"ffffffffffffffffffff" + e[2:],
            "no line end after the data": lambda e: e.replace(b"\r\n0\r\n", b"xx0\r\n"),
            "bare line feed": lambda e: e.replace(b"\r\n", b"\n", 1) + b"\r",
            "too short by a byte": lambda e: e.replace(BODY, BODY[:-1]) + b"\n",
            "no trailer": lambda e: e[:e.index(b"x-amz")] + b" " * (len(e) - e.index(b"x-amz") - 2) + b"\r\n",
            "another trailer": lambda e: e.replace(b"x-amz-checksum-crc32:", b"x-amz-checksum-sha99:"),
        }
        for name, change in cases.items():
            with self.subTest(name):
                response = self.client.put_trailer(self.bucket, "k", BODY, "crc32", mangle=mangled(change))
                self.assertEqual(response.status, 400, response)
                self.client.close()
        self.nothing_stored()

    def test_a_decoded_length_that_lies_is_refused(self):
        for lie in (len(BODY) - 1, len(BODY) + 1, 0, 10 ** 15):
            response = self.client.put_trailer(self.bucket, "k", BODY, "crc32", decoded=lie)
            self.assertEqual(response.status, 400, response)
            self.client.close()
        self.nothing_stored()

    def test_an_upload_cut_half_way_stores_nothing(self):
        for size in (1000, 3 << 20):
            for payload in (None, s3.UNSIGNED):
                body = base.pattern(size)
                wire = s3.Wire(self.gateway.address)
                wire.send(self.client.build("PUT", self.bucket, "half", body=body, payload=payload) + body[:size // 2])
                wire.socket.shutdown(socket.SHUT_WR)
                # The server may answer or just close; both end this connection, and after that its request is over.
                wire.socket.settimeout(60)
                try:
                    while wire.socket.recv(65536):
                        pass
                except ConnectionResetError:
                    pass
                wire.close()
                self.nothing_stored()
        self.still_serving()

    def test_a_body_longer_than_its_length_is_not_glued_on(self):
        rest = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
        response, wire = self.send_raw(self.client.build("PUT", self.bucket, "k", body=BODY) + BODY + rest, "PUT")
        self.expect(response, 200)
        # What follows is the next request, unsigned: refused as such, or for a bucket that is not there.
        self.assertIn(wire.receive().status, (400, 403, 404))
        self.assertEqual(self.client.get(self.bucket, "k").body, BODY)

    # HTTP -----------------------------------------------------------------------------------------------------------------------

    def test_requests_that_two_servers_could_read_differently_are_refused(self):
        def put(*lines, body=b"5\r\nhello\r\n0\r\n\r\n"):
            return ("PUT /%s/smuggle HTTP/1.1\r\nhost: %s\r\n" % (self.bucket, self.client.host())).encode() + \
                b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body

        cases = {
            "length and chunked": put(b"content-length: 15", b"transfer-encoding: chunked"),
            "two lengths": put(b"content-length: 5", b"content-length: 6"),
            "a list of lengths": put(b"content-length: 5, 6"),
            "a signed length": put(b"content-length: +5"),
            "chunked twice": put(b"transfer-encoding: chunked, chunked"),
            "an unknown coding": put(b"transfer-encoding: xchunked"),
            "folded header": put(b"content-length: 5", b"x-folded: a", b" b"),
            "space before the colon": put(b"content-length : 5"),
            "bare carriage return": put(b"content-length: 5", b"x-a: b\rc"),
            "a NUL": put(b"content-length: 5", b"x-a: b\0c"),
            "no host": b"GET / HTTP/1.1\r\n\r\n",
            "two hosts": b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
            "bare line feeds": b"GET / HTTP/1.1\nhost: a\n\n",
            "an unknown version": b"GET / HTTP/7.1\r\nhost: a\r\n\r\n",
            "a line of rubbish": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        }
        for name, data in cases.items():
            with self.subTest(name):
                response, wire = self.send_raw(data)
                self.assertIn(response.status, (400, 405, 501, 505), response)
                self.assertTrue(wire.closed(), "the connection must end: nobody knows where the next request begins")
        self.nothing_stored()

    def test_limits_on_the_request_head(self):
        host = b"host: " + self.client.host().encode() + b"\r\n"
        cases = {
            "target": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + host + b"\r\n", (400, 414, 431)),
            "one header": (b"GET / HTTP/1.1\r\n" + host + b"x-a: " + b"a" * 100_000 + b"\r\n\r\n", (400, 431)),
            "many headers": (b"GET / HTTP/1.1\r\n" + host + b"x-a: b\r\n" * 5000 + b"\r\n", (400, 431)),
        }
        for name, (data, statuses) in cases.items():
            with self.subTest(name):
                wire = s3.Wire(self.gateway.address)
                self.addCleanup(wire.close)
                try:
                    wire.send(data)
                    self.assertIn(wire.receive().status, statuses)
                except (ConnectionResetError, BrokenPipeError):
                    pass  # refused before all of it was read: the answer may be lost with the reset
        self.still_serving()

    def test_expect_continue_is_answered_only_after_authentication(self):
        def bad(fields):
            fields["authorization"] = fields["authorization"][:-4] + "0000"

        headers = {"expect": "100-continue"}
        wire = s3.Wire(self.gateway.address)
        self.addCleanup(wire.close)
        wire.send(self.client.build("PUT", self.bucket, "k", body=BODY, headers=headers, spoil=bad))
        status, _ = wire.head()
        self.assertEqual(status, 403, "a bad signature gets its 403 at once, not a 100 first")
        self.nothing_stored()

        wire = s3.Wire(self.gateway.address)
        self.addCleanup(wire.close)
        wire.send(self.client.build("PUT", self.bucket, "k", body=BODY, headers=headers))
        status, _ = wire.head()
        self.assertEqual(status, 100)
        wire.send(BODY)
        self.expect(wire.receive("PUT"), 200)
        self.assertEqual(self.client.get(self.bucket, "k").body, BODY)

    def test_pipelined_requests_are_answered_in_order(self):
        for number in range(5):
            self.expect(self.client.put(self.bucket, f"p{number}", b"%d" % number), 200)
        wire = s3.Wire(self.gateway.address)
        self.addCleanup(wire.close)
        wire.send(b"".join(self.client.build("GET", self.bucket, f"p{number}") for number in range(5)))
        self.assertEqual([wire.receive().body for _ in range(5)], [b"0", b"1", b"2", b"3", b"4"])

    # The S3 surface -------------------------------------------------------------------------------------------------------------

    def test_sub_resources_are_refused_and_never_taken_for_a_put(self):
        # Some are offered, but not with this body, or not of an object that is not there.
        for name in ("tagging", "acl", "retention", "legal-hold", "torrent", "restore", "select", "uploads", "versionId", "partNumber", "attributes"):
            with self.subTest(name):
                value = "" if name not in ("versionId", "partNumber") else "1"
                response = self.client.request("PUT", self.bucket, "k", body=BODY, query=[(name, value)])
                self.assertIn(response.status, (400, 404, 405, 501), response)
        self.assertIn(self.client.request("PUT", self.bucket, "k", body=BODY, query=[("tagging", None)]).status, (400, 404))
        for name in ("accelerate", "analytics", "inventory", "metrics", "notification", "replication"):
            with self.subTest(name):
                self.expect(self.client.request("PUT", self.bucket, body=b"<x/>", query=[(name, "")]), 501, "NotImplemented")
        for name in ("versioning", "policy", "lifecycle", "cors", "website", "encryption", "tagging"):
            with self.subTest(name):
                self.assertEqual(self.client.request("PUT", self.bucket, body=b"<x/>", query=[(name, "")]).status, 400)
        self.nothing_stored()

    def test_headers_that_ask_for_what_is_not_there_are_refused(self):
        cases = {"x-amz-server-side-encryption": "aws:kms", "x-amz-object-lock-mode": "COMPLIANCE", "x-amz-storage-class": "GLACIER",
                 "x-amz-server-side-encryption-customer-algorithm": "AES256", "x-amz-acl": "public-everything", "x-amz-foo": "bar",
                 "x-amz-write-offset-bytes": "5"}
        for name, value in cases.items():
            with self.subTest(name):
                response = self.client.put(self.bucket, "k", BODY, {name: value})
                self.assertIn(response.status, (400, 501), response)
        self.nothing_stored()

    def test_ranges(self):
        data = base.pattern(200_000)
        self.expect(self.client.put(self.bucket, "r", data), 200)
        good = {"bytes=0-0": data[:1], "bytes=65535-65536": data[65535:65537], "bytes=199999-": data[199999:], "bytes=-5": data[-5:],
                "bytes=-999999": data, "bytes=100-99999999": data[100:]}
        for text, wanted in good.items():
            response = self.expect(self.client.get(self.bucket, "r", {"range": text}), 206)
            self.assertEqual(response.body, wanted, text)
            self.assertRegex(response.headers["content-range"], r"^bytes \d+-\d+/200000$")
        for text in ("bytes=200000-", "bytes=999999-9999999", "bytes=-0"):
            self.expect(self.client.get(self.bucket, "r", {"range": text}), 416, "InvalidRange")
        for text in ("bytes=5-1", "bytes=a-b", "lines=1-2", "bytes=", "bytes=1", "bytes=--1", "bytes=99999999999999999999999-"):
            response = self.client.get(self.bucket, "r", {"range": text})
            self.assertIn(response.status, (200, 416, 400), text)
            if response.status == 200:
                self.assertEqual(response.body, data, text)
        self.client.delete(self.bucket, "r")

    def test_conditions(self):
        etag = self.expect(self.client.put(self.bucket, "c", b"one"), 200).headers["etag"]
        self.expect(self.client.put(self.bucket, "c", b"two", {"if-none-match": "*"}), 412, "PreconditionFailed")
        self.expect(self.client.put(self.bucket, "c", b"two", {"if-match": '"00000000000000000000000000000000"'}), 412, "PreconditionFailed")
        self.assertEqual(self.client.get(self.bucket, "c").body, b"one")
        self.expect(self.client.put(self.bucket, "c", b"two", {"if-match": etag}), 200)
        self.expect(self.client.get(self.bucket, "c", {"if-match": etag}), 412, "PreconditionFailed")
        now = self.client.head(self.bucket, "c").headers["etag"]
        self.assertEqual(self.client.get(self.bucket, "c", {"if-none-match": now}).status, 304)
        self.expect(self.client.put(self.bucket, "fresh", b"x", {"if-none-match": "*"}), 200)

    def test_keys_and_names_out_of_bounds(self):
        self.expect(self.client.put(self.bucket, "k" * 1025, BODY), 400, "KeyTooLongError")
        for name in ("UPPER", "ab", "a" * 64, "under_score", "192.168.0.1", "-dash", "dot..dot"):
            with self.subTest(name):
                self.expect(self.client.make_bucket(name), 400, "InvalidBucketName")
        target = f"/{self.bucket}/%ff%fe"
        self.assertEqual(self.client.request("PUT", body=BODY, target=target).status, 400)
        target = f"/{self.bucket}/bad%zzescape"
        self.assertEqual(self.client.request("PUT", body=BODY, target=target).status, 400)
        self.client.close()
        self.nothing_stored()

    def test_metadata_is_kept_and_bounded(self):
        headers = {"x-amz-meta-colour": "blue", "x-amz-meta-empty": "", "content-type": "text/x-poem", "cache-control": "max-age=5",
                   "content-disposition": "attachment; filename=\"a b\""}
        self.expect(self.client.put(self.bucket, "m", BODY, headers), 200)
        told = self.client.head(self.bucket, "m").headers
        for name, value in headers.items():
            self.assertEqual(told.get(name), value, name)
        self.expect(self.client.put(self.bucket, "n", BODY, {"x-amz-meta-long": "v" * 3000}), 400, "MetadataTooLarge")
        self.assertEqual(self.client.list_keys(self.bucket), ["m"])

    def delete_objects(self, body):
        digest = base64.b64encode(hashlib.md5(body).digest()).decode()
        return self.client.request("POST", self.bucket, body=body, query=[("delete", "")], headers={"content-md5": digest})

    def test_xml_that_is_not_what_it_should_be(self):
        self.expect(self.client.put(self.bucket, "x", b"1"), 200)
        bomb = b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
        many = b"<Delete>" + b"".join(b"<Object><Key>k%d</Key></Object>" % n for n in range(1001)) + b"</Delete>"
        for name, body in {"empty": b"", "cut": b"<Delete><Object>", "another root": b"<Remove/>", "no keys": b"<Delete></Delete>",
                           "binary": b"\0\1\2", "entities": bomb, "too many": many}.items():
            with self.subTest(name):
                self.expect(self.delete_objects(body), 400, ("MalformedXML", "MissingRequestBodyError"))
                self.client.close()
        self.assertEqual(self.client.list_keys(self.bucket), ["x"])
        body = b"<Delete><Object><Key>x</Key></Object><Object><Key>never</Key></Object></Delete>"
        self.expect(self.client.request("POST", self.bucket, body=body, query=[("delete", "")]), 400, "InvalidRequest")  # no digest
        self.assertEqual(self.client.list_keys(self.bucket), ["x"])
        done = self.expect(self.delete_objects(body), 200).xml()
        self.assertEqual(sorted(e.text for e in done.findall("Deleted/Key")), ["never", "x"])
        self.assertEqual(self.client.list_keys(self.bucket), [])

    def test_listing_arguments_out_of_bounds(self):
        for query in ([("max-keys", "many")], [("max-keys", "-1")], [("encoding-type", "rot13")], [("continuation-token", "made up"), ("list-type", "2")]):
            with self.subTest(str(query)):
                self.expect(self.client.request("GET", self.bucket, query=query), 400, "InvalidArgument")

    def test_listing_with_delimiter_and_pages(self):
        keys = ["a", "b/1", "b/2", "b/3/x", "c d", "c+d", "e%41", "z/\u00fc"]
        for key in keys:
            self.expect(self.client.put(self.bucket, key, b""), 200)
        self.assertEqual(self.client.list_keys(self.bucket), sorted(keys, key=str.encode))
        self.assertEqual(self.client.list_keys(self.bucket, page=1), sorted(keys, key=str.encode))
        seen, marker = [], ""
        for _ in range(20):
            query = sorted([("delimiter", "/"), ("max-keys", "2"), ("marker", marker)])
            root = self.expect(self.client.request("GET", self.bucket, query=query), 200).xml()
            seen += [e.text for e in root.findall("Contents/Key")] + [e.text for e in root.findall("CommonPrefixes/Prefix")]
            if root.findtext("IsTruncated") != "true":
                break
            marker = root.findtext("NextMarker")
        self.assertEqual(sorted(seen), sorted(["a", "b/", "c d", "c+d", "e%41", "z/"]))

    def test_errors_name_the_resource_and_the_request_and_no_internals(self):
        response = self.expect(self.client.get(self.bucket, "absent & <odd>"), 404, "NoSuchKey")
        root = response.xml()
        self.assertEqual(root.findtext("RequestId"), response.headers["x-amz-request-id"])
        self.assertNotRegex(response.body.decode(), re.escape(str(self.gateway.home)))
        self.expect(self.client.get("no-such-bucket-here", "k"), 404, "NoSuchBucket")
        self.assertEqual(self.client.request("DELETE", self.bucket + "-absent").status, 404)
