#!/usr/bin/env python3
"""Who can read and who can cut, by trying every coalition: an answer that owes nothing to the C++ engine.

    brute_force.py FACTS.toml            prints the fixed form of `archipel exposure --facts FACTS.toml --json`
    brute_force.py --vectors FACTS.toml… prints facts, policies and answers of several files as one JSON document (vectors.json)

Standard library only. It checks nothing: the files must be right, and name place, operator and parent (a missing parent is the operator).
"""
import itertools
import json
import pathlib
import sys
import tomllib


def edges(party):
    """(state, "read" or "cut") pairs."""
    operator = party.get("operator", party["place"])
    named = [(party["place"], "both"), (operator, "both"), (party.get("parent", operator), "both")]
    named += [(reach["state"], reach.get("cap", "both")) for reach in party.get("reach", [])]
    for state, cap in named:
        for each in ("read", "cut") if cap == "both" else (cap,):
            yield state, each


class Facts:
    def __init__(self, document):
        self.blocs = [bloc for bloc in document.get("bloc", []) if bloc.get("enabled", False)]
        self.islands = {party["id"]: self.reach(party) for party in document.get("island", [])}
        self.keys = [self.reach(party) for party in document.get("keyholder", [])]
        self.threshold = document.get("keys", {}).get("threshold", 0)
        self.gateways = [(self.reach(party), party.get("plaintext", True)) for party in document.get("gateway", [])]
        self.names = {}
        for party in document.get("name", []):
            self.names.setdefault(party["kind"], []).append(self.reach(party))
        self.policies = [(name, *policy["code"], [self.islands[i] for i in policy["islands"]])
                         for name, policy in document.get("policy", {}).items()]

    def reach(self, party):
        out = {"read": set(), "cut": set()}
        for state, cap in edges(party):
            out[cap] |= {bloc["id"] for bloc in self.blocs if state in bloc["states"]} or {state}
        return out

    def reads(self, coalition, k, shards):
        if any(plaintext and gate["read"] & coalition for gate, plaintext in self.gateways):
            return True
        got = sum(1 for shard in shards if shard["read"] & coalition)
        keys = sum(1 for key in self.keys if key["read"] & coalition)
        return got >= k and (not self.keys or keys >= self.threshold)

    def cuts(self, coalition, k, shards):
        left = sum(1 for shard in shards if not shard["cut"] & coalition)
        keys_left = sum(1 for key in self.keys if not key["cut"] & coalition)
        kinds = [[gate for gate, _ in self.gateways], *self.names.values()]
        return (left < k or bool(self.keys) and keys_left < self.threshold
                or any(kind and all(party["cut"] & coalition for party in kind) for kind in kinds))

    def minimal(self, holds, shards):
        parties = [*shards, *self.keys, *(gate for gate, _ in self.gateways), *itertools.chain(*self.names.values())]
        units = sorted(set().union(*(party[cap] for party in parties for cap in ("read", "cut"))))
        found = []
        for size in range(len(units) + 1):
            for members in itertools.combinations(units, size):
                coalition = set(members)
                if not any(smaller <= coalition for smaller in found) and holds(coalition):
                    found.append(coalition)
        return {"min": min(map(len, found)) if found else None, "coalitions": sorted(sorted(one) for one in found)}

    def answers(self):
        return {"policies": [{"policy": name,
                              "read": self.minimal(lambda c: self.reads(c, k, shards), shards),
                              "cut": self.minimal(lambda c: self.cuts(c, k, shards), shards)}
                             for name, n, k, shards in self.policies]}


def plain(document):
    """The facts as a page keeps them: edges spelt out, and policies apart."""
    def party(p, **more):
        return {"id": p["id"], "edges": [{"state": s, "cap": c} for s, c in edges(p)], **more}

    facts = {"islands": [party(p) for p in document.get("island", [])],
             "keyholders": [party(p) for p in document.get("keyholder", [])],
             "keys": {"threshold": document.get("keys", {}).get("threshold", 0)},
             "gateways": [party(p, plaintext=p.get("plaintext", True)) for p in document.get("gateway", [])],
             "names": [party(p, kind=p["kind"]) for p in document.get("name", [])],
             "blocs": [{"id": b["id"], "states": b["states"], "enabled": b.get("enabled", False)} for b in document.get("bloc", [])],
             "home": document.get("owner", {}).get("home", [])}
    return facts, [{"policy": name, "code": p["code"], "islands": p["islands"]} for name, p in document.get("policy", {}).items()]


def main(arguments):
    if arguments[:1] == ["--vectors"]:
        vectors = []
        for name in map(pathlib.Path, arguments[1:]):
            document = tomllib.loads(name.read_text())
            facts, policies = plain(document)
            vectors.append({"file": name.name, "facts": facts, "policies": policies, "expected": Facts(document).answers()})
        print(json.dumps({"vectors": vectors}, indent=1))
        return 0
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    print(json.dumps(Facts(tomllib.loads(pathlib.Path(arguments[0]).read_text())).answers(), separators=(",", ":")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
