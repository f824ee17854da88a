#!/usr/bin/env python3
"""docs/edge-attacks.md: each attack on the edge, what stops it, the tests that are named after it, the limit that holds, and the memory of the process in the last run.

  scripts/edge_attacks.py                          checks that every test in the table exists and that the page says what the table below says
  scripts/edge_attacks.py --archipel BIN --write   runs the end-to-end attacks against BIN, and writes the page with the memory that they told

Memory cannot be checked: a run without --archipel keeps what the page says. Everything else is.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/edge-attacks.md"
E2E = "test_edge_attacks_"  # what the files begin with whose tests tell the memory
SMUGGLING, POISONING, HTTP2 = E2E + "smuggling.Smuggling.", E2E + "poisoning.Poisoning.", E2E + "http2.Http2."
EXHAUSTION, FAULTS = E2E + "exhaustion.Exhaustion.", E2E + "faults.Faults."

# (attack, what stops it, limit that holds, tests). A test is SUBJECT.NAME in src/, or FILE.CLASS.NAME in tests/e2e/.
ROWS = [
    ("Request smuggling, HTTP/1.1 to HTTP/1.1: CL.TE, TE.TE, two lengths, bare LF and CR, folded fields, NUL, odd chunk sizes, HTTP/1.0 with a coding",
     "one strict reading, refused otherwise and the connection closed; every request is written anew with framing of its own",
     "16 KiB request line, 32 KiB and 128 fields, 256 B extensions of a chunk",
     [SMUGGLING + "test_smuggling_h1_to_nginx", SMUGGLING + "test_smuggling_h1_to_h2o", SMUGGLING + "test_smuggling_h1_to_a_lenient_origin"]),
    ("Request smuggling, HTTP/2 to HTTP/1.1: CR, LF, colon and blanks in names, values, :path, :method; lengths that lie; fields of a connection",
     "what is no token, value or target is a stream error, never dropped", "64 KiB of a header block", [SMUGGLING + "test_smuggling_h2_to_h1", "Http2.NothingIsSmuggledIntoHttp1"]),
    ("Response splitting, origins that lie about lengths, 1xx floods, 101 unasked, huge heads", "responses are read as strictly as requests: 502, and the connection is not used again",
     "32 KiB and 128 fields, 16 interim responses", [SMUGGLING + "test_response_splitting_and_lies_of_origins", "Client.EndsAFloodOfInterimAnswers"]),
    ("Answers in clear before the handshake, from between the edge and an https origin (CVE-2026-1642)", "TLS, verified, comes before HTTP", "",
     [SMUGGLING + "test_origin_that_speaks_in_clear_before_tls"]),
    ("Cache hit without draining the body", "a body that nobody read is read to its end, or the connection closes", "256 KiB", [SMUGGLING + "test_cache_hit_without_draining_the_body"]),
    ("Upgrade before 101, h2c smuggling", "bytes pass after the origin's 101 only, for GET alone; h2c and TLS never", "10 minutes of silence", [SMUGGLING + "test_upgrade_passes_bytes_only_after_101"]),
    ("Cache key without authority; slashes, dots, escapes, ports, capitals, absolute form", "scheme, host and port are in the key; the target is, byte for byte, and the origin is asked for the same bytes",
     "16 KiB of a key", ["Key.CacheKeyHoldsTheAuthority", "Key.DeceptionByPathDelimitersNeverJoinsTwoTargets", POISONING + "test_cache_key_confusion"]),
    ("Cache poisoning by unkeyed input: X-Forwarded-*, Host in capitals, override and rewrite fields, `_` for `-`",
     "the origin hears of the request what is in the key, and what the edge says itself", "", [POISONING + "test_cache_poisoning_by_unkeyed_input", "ServeAttack.PoisoningByMethodOverrideAndRewriteFields",
      "CachePoisoning.TheOriginSeesTheHostThatIsInTheKey", "Forwarding.UnderscoresAreNoWayToSpeakForTheEdge", "Key.PoisoningByLinesOfAKeyedField"]),
    ("Parameter cloaking", "what of the query is not in the key does not reach the origin", "", [POISONING + "test_parameter_cloaking", "ServeAttack.PoisoningByAQueryThatTheKeyIgnoresDoesNotReachTheOrigin"]),
    ("Fat GET", "a GET with a body goes past the cache", "", [POISONING + "test_fat_get", "ServeAttack.PoisoningByAFatGetIsNeitherStoredNorServedFromTheStore"]),
    ("CPDoS: HHO, HMC, HMO", "refusals of what one client sent are not stored; large requests' errors never are", "errors to requests of more than 4 KiB of fields",
     [POISONING + "test_cpdos", "ServeAttack.CpdosErrorsAreNotServedToOthers", "Freshness.CpdosErrorsThatAClientProvokedAreNotStored"]),
    ("Web cache deception", "nothing is stored for what its path looks like", "", [POISONING + "test_web_cache_deception", "ServeAttack.DeceptionByExtensionsAndDelimiters"]),
    ("Set-Cookie, Authorization and private responses served to others", "RFC 9111 §3, §3.5; what sets a cookie is stored only if it says for how long; no rule of ours about how long changes whose it is", "",
     [POISONING + "test_private_responses_stay_private", "ServeAttack.CookiesOfOneClientAreNotGuessedToBeForAll", "ServeAttack.AuthorizedResponsesStayWithTheirClient", "TtlRules.FirstThatMatchesDecidesAndPrivateStaysPrivate"]),
    ("Hop-by-hop abuse", "Connection takes away nothing that belongs to the origin, the gate or the key", "", [POISONING + "test_hop_by_hop_abuse", "HopByHop.AttackerCannotMakeTheEdgeDropWhatBelongsToTheOrigin",
      "HopByHop.ConnectionDoesNotHideWhatTheKeyHolds"]),
    ("Guarded paths in another spelling", "a path is guarded in every way that an origin may read it", "decoded twice", [POISONING + "test_guarded_paths_in_another_spelling", "Gate.GuardedPathsAreGuardedInEverySpelling"]),
    ("HTTP/2 Rapid Reset", "resets are paid from a bucket", "CVE-2023-44487: GOAWAY", [HTTP2 + "test_rapid_reset", "Http2Attack.RapidReset", "Http2Attack.RapidResetInOneBatchStartsNoHandler"]),
    ("HTTP/2 MadeYouReset", "resets that the client provokes are paid, too", "CVE-2025-8671: GOAWAY", [HTTP2 + "test_made_you_reset", HTTP2 + "test_made_you_reset_by_lengths_that_lie", "Http2Attack.MadeYouReset"]),
    ("HTTP/2 CONTINUATION floods", "a header block has a limit, its frames are paid", "64 KiB", [HTTP2 + "test_continuation_flood", HTTP2 + "test_empty_continuation_flood", "Http2Attack.ContinuationFlood",
      "Http2Attack.EmptyContinuationFlood"]),
    ("HTTP/2 SETTINGS, PING, empty DATA and PRIORITY floods", "frames that carry nothing are paid from a bucket", "GOAWAY", [HTTP2 + "test_settings_flood", HTTP2 + "test_ping_flood", HTTP2 + "test_empty_data_flood",
      HTTP2 + "test_priority_flood", "Http2Attack.SettingsFlood", "Http2Attack.PingFlood", "Http2Attack.PingFloodWithoutReading", "Http2Attack.EmptyDataFlood", "Http2Attack.PriorityAndUnknownFramesFlood"]),
    ("HPACK bomb", "fields count as they are unpacked", "32 KiB and 128 fields", [HTTP2 + "test_hpack_bomb", "Http2Attack.HpackBomb"]),
    ("HTTP/2 bomb: heads small on the wire and large in memory, crumbs of cookies, held by windows of nothing (CVE-2026-49975, CVE-2026-47774)",
     "what a connection's requests hold counts: its share, then a budget for all; what finds no room is refused", "64 KiB for each connection, and 16 KiB × `[limits] connections` for all",
     [HTTP2 + "test_http2_bomb", "Http2Attack.BombsHeldByZeroWindows"]),
    ("Slowloris", "an absolute deadline for the head; a least rate for the body", "15 s, 1 KiB/s after a minute", [EXHAUSTION + "test_slowloris", "Server.ASlowHeadIsAnsweredWith408", "Server.ABodyMustKeepUpARateAfterAMinute"]),
    ("Slow read, zero windows", "a budget for what is held for readers: origins are made to wait, then the slowest are ended", "`[limits] reader_memory`, and 32 KiB for each",
     [EXHAUSTION + "test_slow_readers", EXHAUSTION + "test_slow_read", "SlowReaders.ManyDifferentBodiesAreReadFromTheOriginNoFasterThanTheirMemoryAllows", "SlowReaders.SlowOnesAreEndedOnlyWhereOthersNeedTheRoom",
      "SlowReaders.AThousandOnOneBodyHoldItOnce", "Http2Attack.ZeroWindow", "Http2Attack.WindowDribble"]),
    ("Origins held by clients that read nothing", "an origin that has said all is free, whatever its reader does", "`[limits] reader_memory`, and 16 KiB for each",
     [HTTP2 + "test_origins_are_not_held_by_clients_that_read_nothing"]),
    ("Connection flood", "more are closed at once", "`[limits] connections`", [EXHAUSTION + "test_connection_flood"]),
    ("Slow origins", "an absolute deadline for the head, one between bytes of the body", "`response_timeout`", [EXHAUSTION + "test_slow_origins"]),
    ("RangeAmp: SBR, OBR", "slices of 1 MiB; many or overlapping ranges are the whole", "2 slices for a byte", [EXHAUSTION + "test_range_amp", "ServeRanges.RangeAmpSmallRangesFetchOneSlice",
      "ServeRanges.RangeAmpOriginsWithoutRangesAreNotReadToTheEnd", "Range.RangeAmpManyOrOverlappingRangesAreTheWhole"]),
    ("Hash flooding", "SipHash with a secret; bounded counts of fields and tags", "128 fields, 128 tags", [EXHAUSTION + "test_hash_flooding", "Purging.HashFloodingWithCraftedKeysMeetsNobody"]),
    ("Decompression bomb", "nothing is ever unpacked", "", [EXHAUSTION + "test_decompression_bomb"]),
    ("Vary and Accept-Encoding explosion", "codings are normalised; sets of names per key and all of memory are bounded", "4 sets of 16 names, `[cache] memory`", [POISONING + "test_vary_explosion", "ServeAttack.VariantsExplosion"]),
    ("Thundering herd, uncacheable serialisation", "one fetch for all who can share it; a private answer releases all at once and is remembered", "hit-for-miss for 2 minutes",
     [EXHAUSTION + "test_thundering_herd", "ServeCrowd.ThunderingHerdOnAColdKeyIsOneFetch", "ServeCrowd.ThunderingHerdOnAnExpiredKeyIsOneValidation", "ServeAttack.ManyKeysThatCannotBeStoredAreRememberedWithinBounds"]),
    ("Growth of the purge list", "looked up by hash; a full book forgets on the safe side", "262,144 records", [EXHAUSTION + "test_growth_of_the_purge_list", "Purging.FloodOfPurgesKeepsTheBookSmallAndWhatItDoesNotConcern", "PurgeBook.FullBookForgetsTheOlderHalfOnTheSafeSide"]),
    ("Poisoned config push", "read whole and checked before anything changes; the last good one stays", "1 MiB, 10,000 sites", [EXHAUSTION + "test_poisoned_config_push", "test_edge.Upkeep.test_poisoned_config_push_keeps_the_last_good_one",
      "Config.PoisonedPushIsRefusedOrRead"]),
    ("Disk full, EIO, torn writes, flipped bits", "checksums over what is read; a disk that fails is left alone", "32 MiB wait for the disk", [FAULTS + "test_disk_full_eio_torn_writes_and_flipped_bits", "CacheDisk.FullDiskMakesTheTierSmaller", "CacheDisk.DiskThatFailsToReadIsAMiss",
      "CacheDisk.DiskThatFailsToWriteIsLeftAloneForAWhile", "CacheDisk.TornWriteLosesWhatWasTornAndNothingElse", "CacheDisk.FlippedBitIsNeverServed"]),
    ("Clock jumps", "ages never go down; what was stored in the future is validated", "a minute back is forgiven", [FAULTS + "test_clock_jumps", "Freshness.ClockJumpsMakeNothingFreshForever", "Freshness.AClockThatWentBackMakesNothingYounger"]),
]

INTRODUCTION = """# Attacks on the edge

What is known to be tried against caches and proxies, and what comes of it here. Each attack has tests that are named after it; those of `tests/e2e` run against a process, over
sockets. *Memory* is the process's resident set at its highest, and in brackets how much of it came during the attack, of how much its limits allow, from the last run of a build
with sanitizers (which about doubles it); the tests fail if it is more. `scripts/edge_attacks.py` makes this page and checks it: a test that is gone or renamed fails `./dev test`.
`tests/e2e/mutants/` has a hole for each defence, made by hand: with it the attack succeeds, and its test says so (`./dev soak --only defences`).

| attack | what stops it | limit that holds | tests | memory |
|---|---|---|---|---|
"""


def tests_there_are():
    found = set()
    for file in (ROOT / "src").rglob("*_test.cc"):
        for subject, name in re.findall(r"^(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP|RC_GTEST_FIXTURE_PROP)\(\s*(\w+),\s*(\w+)", file.read_text(), re.MULTILINE):
            found.add(f"{subject}.{name}")
    for file in (ROOT / "tests/e2e").glob("test_*.py"):
        where = None
        for line in file.read_text().splitlines():
            if match := re.match(r"class (\w+)", line):
                where = match.group(1)
            elif match := re.match(r"    def (test_\w+)", line):
                found.add(f"{file.stem}.{where}.{match.group(1)}")
    return found


def memory_on_the_page():
    """By attack, as the page says it now."""
    if not PAGE.exists():
        return {}
    rows = [line.strip("|\n").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {row[0].strip(): row[-1].strip(" |") for row in rows if len(row) == 5}


def memory_of_a_run(binary):
    """By test: (bytes, of which the attack's, of how many that its limits allow)."""
    with tempfile.TemporaryDirectory() as scratch:
        report = pathlib.Path(scratch) / "report"
        done = subprocess.run([sys.executable, str(ROOT / "tests/e2e/run.py"), "--archipel", binary, "--jobs", "1", E2E], env=dict(os.environ, ARCHIPEL_ATTACKS_REPORT=str(report)))
        if done.returncode:
            sys.exit("an attack succeeded: the page is not written")
        lines = [json.loads(line) for line in report.read_text().splitlines()]
    return {line["test"]: (line["rss"], line["grown"], line["bound"]) for line in lines}


def say(most):
    rss, grown, bound = (f"{size / (1 << 20):.0f}" for size in most)
    return f"{rss} MiB (+{grown} of {bound})"


def page(measured):
    kept = memory_on_the_page()
    text = INTRODUCTION
    for attack, stops, limit, tests in ROWS:
        told = [measured[t] for t in tests if t in measured]
        memory = say(max(told, key=lambda one: one[1])) if told else kept.get(attack, "")
        text += f"| {attack} | {stops} | {limit} | {', '.join(f'`{t}`' for t in tests)} | {memory} |\n"
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archipel")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    there = tests_there_are()
    missing = [f"{attack[:40]}…: there is no test {test}" for attack, _, _, tests in ROWS for test in tests if test not in there]
    missing += [f"{attack[:40]}…: no test tells its memory" for attack, _, _, tests in ROWS if not any(test.startswith(E2E) for test in tests)]
    measured = memory_of_a_run(options.archipel) if options.archipel else {}
    text = page(measured)
    if options.write and not missing:
        PAGE.write_text(text)
    elif not options.write and (not PAGE.exists() or PAGE.read_text() != text):
        missing.append("docs/edge-attacks.md is not what scripts/edge_attacks.py makes: run it with --write")
    if missing:
        sys.exit("\n".join(missing))


if __name__ == "__main__":
    main()
