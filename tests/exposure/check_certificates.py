#!/usr/bin/env python3
"""Checks what `archipel exposure --facts FACTS.toml --certificates` printed, against the facts alone.

    archipel exposure --facts FACTS.toml --certificates | check_certificates.py FACTS.toml

For each coalition: that it reaches what it claims and no more, that this suffices, and that without any one member it does not. For each list:
that it is whole. A set of states that holds no listed coalition must not suffice; the largest such sets are what remains beside the minimal
hitting sets of the list, so each of those is tried. Neither step enumerates coalitions: it is another way than the engine's and than
brute_force.py's. Standard library only; imports neither. Prints the number of certificates checked; the first mistake ends with exit code 1.
"""
import json
import pathlib
import sys
import tomllib


class Wrong(Exception):
    pass


def demand(condition, what):
    if not condition:
        raise Wrong(what)


def by_capability(party, blocs):
    """{"read": units, "cut": units} that reach a party."""
    operator = party.get("operator", party["place"])
    said = [{"state": party["place"]}, {"state": operator}, {"state": party.get("parent", operator)}, *party.get("reach", [])]
    out = {}
    for question in ("read", "cut"):
        states = {entry["state"] for entry in said if entry.get("cap", "both") in ("both", question)}
        units = set()
        for state in states:
            units |= {bloc["id"] for bloc in blocs if state in bloc["states"]} or {state}
        out[question] = units
    return out


class Case:
    """One policy and one question: which parties a set of units reaches, and whether that suffices."""

    def __init__(self, document, policy, question):
        blocs = [bloc for bloc in document.get("bloc", []) if bloc.get("enabled")]
        self.question = question
        self.n, self.k = policy["code"]
        self.threshold = document.get("keys", {}).get("threshold", 0)

        def units(party):
            return by_capability(party, blocs)[question]

        islands = {party["id"]: party for party in document.get("island", [])}
        gateways = document.get("gateway", [])
        names = document.get("name", [])
        self.parties = {
            "islands": {i: units(islands[i]) for i in policy["islands"]},
            "keyholders": {party["id"]: units(party) for party in document.get("keyholder", [])},
            "gateways": {party["id"]: units(party) for party in gateways if question == "cut" or party.get("plaintext", True)},
            "names": {party["id"]: units(party) for party in names if question == "cut"},
        }
        self.kinds = [{party["id"] for party in names if party["kind"] == kind} for kind in ("dns", "ca")]
        self.gateway_count = len(gateways)
        self.units = set().union(*(u for kind in self.parties.values() for u in kind.values()))

    def reached(self, members):
        return {kind: {i for i, units in parties.items() if units & members} for kind, parties in self.parties.items()}

    def suffices(self, members):
        got = self.reached(members)
        keys = len(self.parties["keyholders"])
        if self.question == "read":
            return bool(got["gateways"]) or len(got["islands"]) >= self.k and (keys == 0 or len(got["keyholders"]) >= self.threshold)
        return (self.n - len(got["islands"]) < self.k
                or keys > 0 and keys - len(got["keyholders"]) < self.threshold
                or self.gateway_count > 0 and len(got["gateways"]) == self.gateway_count
                or any(kind and kind <= got["names"] for kind in self.kinds))

    def check(self, certificate):
        members = set(certificate["coalition"])
        name = "+".join(certificate["coalition"])
        demand(len(members) == len(certificate["coalition"]) and members <= self.units, f"{name}: who is that?")
        demand(self.suffices(members), f"{name} does not suffice")
        got = self.reached(members)
        for kind, ids in certificate["reaches"].items():
            demand(set(ids) == got[kind], f"{name} reaches {sorted(got[kind])} of the {kind}, not {ids}")
        demand(set(certificate["alone"]) == members, f"{name}: not every member's part is told")
        for member, parts in certificate["alone"].items():
            without = self.reached(members - {member})
            demand(not self.suffices(members - {member}), f"{name}: {member} is not needed")
            for kind, ids in parts.items():
                demand(set(ids) == got[kind] - without[kind], f"{name}: what only {member} reaches of the {kind} is not {ids}")
        demand(certificate["reason"], f"{name}: no reason")

    def check_whole(self, coalitions):
        for hitting in hitting_sets(coalitions):
            rest = self.units - hitting
            demand(not self.suffices(rest), f"a coalition among {sorted(rest)} is missing")


def hitting_sets(family):
    """The minimal hitting sets, one member of the family after the other (Berge)."""
    out = [frozenset()]
    for members in family:
        out_next = {h for h in out if h & members}
        grown = {h | {m} for h in out if not h & members for m in members}
        out_next |= {g for g in grown if not any(h <= g for h in out_next)}
        out = [h for h in out_next if not any(other < h for other in out_next)]
    return out


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    document = tomllib.loads(pathlib.Path(arguments[0]).read_text())
    printed = json.load(sys.stdin)
    checked = 0
    try:
        demand(printed["format"] == "archipel-certificates/1", "another format")
        demand([p["policy"] for p in printed["policies"]] == list(document.get("policy", {})), "not the policies of the facts")
        for policy in printed["policies"]:
            for question in ("read", "cut"):
                case = Case(document, document["policy"][policy["policy"]], question)
                for certificate in policy[question]:
                    case.check(certificate)
                    checked += 1
                case.check_whole([frozenset(c["coalition"]) for c in policy[question]])
    except Wrong as wrong:
        print(f"policy {policy['policy']}, {question}: {wrong}" if "policy" in locals() else wrong)
        return 1
    print(f"{checked} certificates are right, and the lists are whole")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
