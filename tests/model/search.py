"""Explores a model: every run of a small scope, or seeded random walks through a larger one.

A model is an object with
    root(choices)       -> a state to begin with
    prelude             the lines of what root() did, for the trace
    of(key, labels)     -> a state again from its key
    step(state, choices) -> one line of text; changes the state; asks choices.pick(n) for every decision it makes
    settled(state)      -> called after each step; raises Violation if what must hold in every state does not
and a state has key() (hashable; interchangeable islands sorted, so that symmetric states are one) and `lab`, the islands' names in that order.
"""
import random
import time
from collections import deque

STATES_MAX = 3_000_000  # kept by one exhaustive search: about 2 GB


class Violation(Exception):
    """A promise is broken."""


class Refused(Exception):
    """The step cannot be taken here, or changes nothing: a start that was refused, a budget that is used up."""


class Choices:
    """Replays a prefix of decisions, then takes 0; next_prefix() goes through all runs of a step in order."""

    def __init__(self, prefix=()):
        self.seq, self.arity, self.pos = list(prefix), [], 0

    def pick(self, n):
        if self.pos == len(self.seq):
            self.seq.append(0)
        self.arity.append(n)
        self.pos += 1
        return self.seq[self.pos - 1]

    def next_prefix(self):
        for i in range(self.pos - 1, -1, -1):
            if self.seq[i] + 1 < self.arity[i]:
                return self.seq[:i] + [self.seq[i] + 1]
        return None


class RandomChoices:
    """Yes and no come in bursts of one bias, so that "all islands" and "hardly any" are both common."""

    def __init__(self, rng):
        self.rng, self.bias = rng, 0.8

    def pick(self, n):
        if n != 2:
            return self.rng.randrange(n)
        if self.rng.random() < 0.15:
            self.bias = self.rng.choice((0.1, 0.5, 0.8, 0.97))
        return 0 if self.rng.random() < self.bias else 1


class Report:
    def __init__(self):
        self.states = self.steps = 0
        self.complete = False
        self.violation, self.trace = None, []

    def found(self, violation, trace):
        self.violation, self.trace = str(violation), trace


def exhaustive(model, seconds, states_max=STATES_MAX):
    """Breadth first: the first violation has a shortest trace."""
    report, stop = Report(), time.monotonic() + seconds
    root = model.root(Choices()).key()
    came_from, queue = {root: None}, deque([root])

    def trace(key, last):
        path = [last]
        while came_from[key]:
            key, choices = came_from[key]
            path.append(choices)
        state, lines = model.root(Choices()), list(model.prelude)
        labels = state.lab
        for choices in reversed(path):
            state = model.of(state.key(), labels)
            try:
                lines.append(model.step(state, Choices(choices)))
                state.key()
                labels = state.lab
                model.settled(state)
            except Violation as violation:
                lines.append('** ' + str(violation))
        return lines

    while queue and time.monotonic() < stop and len(came_from) < states_max:
        key = queue.popleft()
        report.states += 1
        prefix = []
        while prefix is not None:
            state, choices = model.of(key), Choices(prefix)
            report.steps += 1
            try:
                model.step(state, choices)
                after = state.key()
                if after not in came_from:
                    came_from[after] = (key, choices.seq[:choices.pos])
                    queue.append(after)
                    model.settled(state)
            except Refused:
                pass
            except Violation as violation:
                report.found(violation, trace(key, choices.seq[:choices.pos]))
                return report
            prefix = choices.next_prefix()
    report.complete = not queue
    return report


def walks(model, seconds, seed, length=60, walks_max=None):
    """Random walks from one seed, until a violation, the time or the number of walks is over. The trace found is shortened a little by
    leaving out what was refused."""
    report, stop, rng = Report(), time.monotonic() + seconds, random.Random(seed)
    done = 0
    while time.monotonic() < stop and (walks_max is None or done < walks_max):
        done += 1
        state, lines = model.root(RandomChoices(rng)), list(model.prelude)
        for _ in range(length):
            report.steps += 1
            key, labels = state.key(), state.lab
            try:
                lines.append(model.step(state, RandomChoices(rng)))
                model.settled(state)
            except Refused as refused:
                if str(refused) == 'end':
                    break
                state = model.of(key, labels)
            except Violation as violation:
                report.found(violation, lines + ['** ' + str(violation)])
                report.states = done
                return report
    report.states = done
    return report
