#!/usr/bin/env python3
"""Lists and restores every object of an Archipel realm from its keyring, the passphrase and any three (k) of its islands.

An independent decoder: written from docs/formats alone, without any code of the project. README.md beside this file says more.

Example: rebuild.py --keyring demo/keyring --passphrase-file demo/keyring.passphrase --out /tmp/back --json demo/islands/{a,b,c}
"""
import argparse
import base64
import json
import os
import pathlib
import sys
import time

from crypto import Keyring
from fields import Damaged, Report, Unreadable
from objects import Checks, Paths, create, text, time_text
from view import DELETE_MARKER, OBJECT, Realm, Version

PASSPHRASE_VARIABLE = "ARCHIPEL_PASSPHRASE"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keyring", required=True, help="the keyring file")
    parser.add_argument("--passphrase-file", help=f"holds the passphrase; without it, {PASSPHRASE_VARIABLE} does")
    parser.add_argument("--list", action="store_true", help="one JSON object a line: bucket, key, size, etag, modified")
    parser.add_argument("--versions", action="store_true", help="versions that are not current, and delete markers, too")
    parser.add_argument("--out", metavar="DIR", help="write every object to DIR/bucket/key; DIR must be empty or not exist")
    parser.add_argument("--customer-key", metavar="FILE", action="append", default=[],
                        help="a key of SSE-C, as base64; again for each: objects under others are not restored")
    parser.add_argument("--json", action="store_true", help="a last line that sums up, as JSON")
    parser.add_argument("--no-snapshot", action="store_true", help="read the whole journal, from epoch 1 on")
    parser.add_argument("islands", nargs="+", help="directories of islands, three or more")
    return parser.parse_args()


def passphrase(options):
    if options.passphrase_file:
        return pathlib.Path(options.passphrase_file).read_bytes().rstrip(b"\r\n")
    if PASSPHRASE_VARIABLE in os.environ:
        return os.fsencode(os.environ[PASSPHRASE_VARIABLE])
    raise Unreadable(f"no passphrase: give --passphrase-file, or set {PASSPHRASE_VARIABLE}")


def customer_keys(options):
    """The keys of SSE-C that were given, a base64 text of 32 bytes each."""
    keys = []
    for path in options.customer_key:
        key = base64.b64decode(pathlib.Path(path).read_text().strip())
        if len(key) != 32:
            raise Unreadable(f"{path} is not the base64 text of 32 bytes")
        keys.append(key)
    return keys


def restore(realm, version, owners, target, keys):
    """Reads, verifies and writes one object."""
    if version.bucket not in owners:
        raise Damaged("its bucket has no record")
    checks = Checks(version, realm.report)
    for data in realm.body(version, owners[version.bucket], keys):
        checks.update(data)
        target.write(data)
    checks.compare(realm.parts_etag(version) if version.part_set else None)
    realm.report.count("objects")
    realm.report.count("bytes", version.size)


def restore_all(realm, versions, owners, paths, out, keys):
    """Writes every object below `out`, in the order in which they lie on the islands; returns {(bucket, key, version): what went wrong}."""
    failed = {}
    for version in sorted((v for v in versions if v.kind == OBJECT), key=Version.place):
        path = pathlib.Path(out) / paths.of(version)
        try:
            with create(path) as target:
                restore(realm, version, owners, target, keys)
        except Damaged as error:
            path.unlink()
            failed[version.bucket, version.key, version.name()] = str(error)
    for bucket in owners:
        (pathlib.Path(out) / text(bucket)).mkdir(parents=True, exist_ok=True)
    return failed


def walk(realm, options):
    """Everything the options ask for; returns [(where, what went wrong)]."""
    owners = realm.owners()
    realm.report.count("buckets", len(owners))
    found = list(realm.all_versions() if options.versions else realm.versions())
    unread = [(text(key), str(version)) for key, version in found if isinstance(version, Damaged)]
    versions = [version for _, version in found if not isinstance(version, Damaged)]
    paths = Paths((v.bucket, v.key) for v in versions if v.latest)
    failed = restore_all(realm, versions, owners, paths, options.out, customer_keys(options)) if options.out else {}
    for version in versions if options.list else ():
        line = {"bucket": text(version.bucket), "key": text(version.key), "size": version.size, "etag": text(version.etag),
                "modified": time_text(version.modified)}
        if options.versions:
            line |= {"version": version.name(), "latest": version.latest, "delete_marker": version.kind == DELETE_MARKER}
        if options.out and version.kind == OBJECT:
            line["path"] = paths.of(version)
        if (version.bucket, version.key, version.name()) in failed:
            line["error"] = failed[version.bucket, version.key, version.name()]
        print(json.dumps(line))
    realm.report.count("listed", len(versions))
    return unread + [(f"{text(bucket)}/{text(key)}", problem) for (bucket, key, _), problem in sorted(failed.items())]


def run(options):
    report, begun = Report(), time.monotonic()
    if options.out and os.path.isdir(options.out) and os.listdir(options.out):
        raise Unreadable(f"{options.out} is not empty: name another directory")
    realm = Realm(Keyring(options.keyring, passphrase(options)), options.islands, report, not options.no_snapshot)
    try:
        failed = walk(realm, options)
    finally:
        realm.extents.close()
    for island, entry in sorted(report.blamed.items()):
        print(f"island {island}: {entry['wrong']} wrong, first: {entry['examples'][0]}", file=sys.stderr)
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    for where, problem in failed:
        print(f"not restored: {where}: {problem}", file=sys.stderr)
    if options.json:
        counters = {name: 0 for name in ("records", "epochs", "objects", "bytes", "cells_verified")} | report.counters
        print(json.dumps(counters | {"seconds": round(time.monotonic() - begun, 3), "islands": sorted(realm.islands),
                                     "islands_blamed": report.blamed, "notes": report.notes, "not_restored": failed}))
    return 1 if failed else 0


def main():
    try:
        return run(arguments())
    except (Unreadable, Damaged, OSError) as error:
        print(f"rebuild: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
