"""The writer's lease: gateways that serve, start, pause and wake up, and the overwritable lease slot of every island.

Time is counted in renewal intervals (10 s). Nobody has to act: a gateway that does nothing is paused, so every schedule is explored. A gateway
  renews   PUTs {instance, counter} to all islands; valid for `valid` from the *start* of a renewal that reached w, by its own clock
  acks     if it believes its lease valid. Violation: another gateway has read the chain since this one did; what is acknowledged now is void there.
  watches  a starter reads the slots of some islands, again and again; `watching` after its first complete reading, with no change seen, it decides:
           it reads the chain, and from then on everything that was not there is void.
Slots can be stale on one island (f), and PUTs land late, within the budget.
"""
from search import Refused, Violation

LIARS = 1
OFF, WATCHING, READY, TAKEN, SERVING = 'off', 'watching', 'ready', 'taken', 'serving'


class State:
    FIELDS = ('time', 'gates', 'slots', 'pending', 'late', 'sleeps', 'decided', 'liar')
    __slots__ = FIELDS + ('lab',)

    def key(self):
        return tuple(getattr(self, f) for f in State.FIELDS)


class Gate:
    """phase; begun: of the watch or of the renewal; until: end of the lease by the own clock; seen: counters by instance; order: of its decision."""
    FIELDS = ('phase', 'begun', 'until', 'count', 'landed', 'seen', 'slept', 'order', 'read_at')

    def __init__(self, values):
        for f, v in zip(Gate.FIELDS, values):
            setattr(self, f, v)

    def values(self):
        return tuple(getattr(self, f) for f in Gate.FIELDS)


class Lease:
    def __init__(self, n, w, starters=1, time=12, late=1, sleeps=0, holder=True, liar=False, mutants=(), valid=3, watching=6):
        self.valid, self.watching = valid, watching
        self.n, self.w, self.time, self.prelude = n, w, time, []
        self.mutants = frozenset([mutants] if isinstance(mutants, str) else mutants)
        self.start = (starters, late, sleeps, holder, liar)

    def broken(self, mutant):
        return mutant in self.mutants

    def root(self, _):
        starters, late, sleeps, holder, liar = self.start
        s = State()
        first = (SERVING, 0, self.valid if holder else 0, 1, (1 << self.n) - 1, (), 0, 0, 0)
        off = (OFF, 0, 0, 0, 0, (), 0, -1, -1)
        s.time, s.gates, s.slots = 0, (first,) + (off,) * starters, ((0, 1),) * self.n
        s.pending, s.late, s.sleeps, s.decided, s.liar = (), late, sleeps, 0, ((0, 1) if liar else None)
        s.lab = None
        return s

    def of(self, key, labels=None):
        s = State()
        for f, v in zip(State.FIELDS, key):
            setattr(s, f, v)
        s.lab = labels
        return s

    def settled(self, s):
        pass

    def step(self, s, ch):
        acts = [('tick', 0)] if s.time < self.time else []
        for g, values in enumerate(s.gates):
            gate = Gate(values)
            if gate.phase == OFF:
                acts.append(('begin', g))
            elif gate.phase == WATCHING:
                acts.append(('watch', g))
            elif gate.phase == READY:
                acts.append(('take' if self.looks_twice() else 'decide', g))
            elif gate.phase == TAKEN:
                acts.append(('confirm', g))
            else:
                now = s.time - gate.slept
                if gate.begun < now and (now < gate.until or self.broken('a lapsed lease is renewed')):
                    acts.append(('renew', g))
                if now < gate.until:
                    acts.append(('ack', g))
                    if s.sleeps:
                        acts.append(('sleep', g))
        if s.late and s.pending:
            acts.append(('land', 0))
        if not acts:
            raise Refused('end')
        act, g = acts[ch.pick(len(acts))]
        gate = Gate(s.gates[g])
        text = 't=%d: ' % s.time + getattr(self, act)(s, ch, g, gate)
        if act not in ('tick', 'land'):
            s.gates = s.gates[:g] + (gate.values(),) + s.gates[g + 1:]
        return text

    def looks_twice(self):
        return self.broken('a start only looks before and after it takes the lease')

    def announces(self):
        return not self.looks_twice() and not self.broken('starters do not announce themselves')

    def tick(self, s, _ch, _g, _gate):
        s.time += 1
        return 'time passes'

    def sleep(self, s, _ch, g, gate):
        s.sleeps -= 1
        s.time += self.watching + 2
        if self.broken('the clock stops while the machine sleeps'):
            gate.slept += self.watching + 2
        return 'the machine of gateway %d sleeps for long' % g

    def put(self, s, ch, g, gate):
        gate.count += 1
        gate.landed = 0
        for i in range(self.n):
            if ch.pick(2) == 0:
                s.slots = s.slots[:i] + ((g, gate.count),) + s.slots[i + 1:]
                gate.landed |= 1 << i
            else:
                s.pending += ((i, g, gate.count),)
        return ['ABCDEFGHI'[i] for i in range(self.n) if gate.landed >> i & 1]

    def extend(self, s, gate):
        if bin(gate.landed).count('1') >= (self.w - 1 if self.broken('a renewal counts at w-1') else self.w):
            now = s.time - gate.slept
            gate.until = max(gate.until, (now if self.broken('valid from the last confirmation') else gate.begun) + self.valid)

    def renew(self, s, ch, g, gate):
        gate.begun = s.time - gate.slept
        text = 'gateway %d renews on %s' % (g, self.put(s, ch, g, gate))
        self.extend(s, gate)
        return text

    def land(self, s, ch, _g, _gate):
        s.late -= 1
        i, g, count = s.pending[ch.pick(len(s.pending))]
        s.pending = tuple(p for p in s.pending if p != (i, g, count))
        s.slots = s.slots[:i] + ((g, count),) + s.slots[i + 1:]
        gate = Gate(s.gates[g])
        if gate.count == count:
            gate.landed |= 1 << i
            self.extend(s, gate)
            s.gates = s.gates[:g] + (gate.values(),) + s.gates[g + 1:]
        return 'delayed PUT of gateway %d lands on %s' % (g, 'ABCDEFGHI'[i])

    def ack(self, s, _ch, g, gate):
        for h, values in enumerate(s.gates):
            if h != g and Gate(values).order > gate.order:
                raise Violation('t=%d: gateway %d acknowledges, although gateway %d read the chain at t=%d'
                                % (s.time, g, h, Gate(values).read_at))
        raise Refused('nothing changes')

    def look(self, s, ch):
        """Slots of the islands that answer; None if they are too few to prove anything."""
        heard = [i for i in range(self.n) if ch.pick(2) == 0]
        need = self.n - self.w + 1 + LIARS
        if self.broken('silence of any islands is enough'):
            need = 1
        elif self.broken('silence counts without f'):
            need -= LIARS
        shown = {}
        for i in heard:
            inst, count = s.liar if s.liar and i == 0 else s.slots[i]
            shown[inst] = max(shown.get(inst, 0), count)
        return (shown if len(heard) >= need else None), len(heard)

    def begin(self, s, ch, g, gate):
        if self.broken('a copied DIR skips the watch'):
            gate.phase = WATCHING
            return self.decide(s, ch, g, gate)
        shown, heard = self.look(s, ch)
        if shown is None:
            raise Refused('too few answer')
        gate.phase, gate.begun = WATCHING, s.time
        gate.seen = tuple(sorted((i, c) for i, c in shown.items() if i != g))
        text = 'gateway %d begins to watch, %d islands answer' % (g, heard)
        if self.announces():
            text += ', and announces itself on %s' % self.put(s, ch, g, gate)
            if bin(gate.landed).count('1') < self.w:
                gate.phase = OFF
                text += ': too few, gives up'
        return text

    def watch(self, s, ch, g, gate):
        shown, heard = self.look(s, ch)
        if shown is None:
            raise Refused('too few answer')
        seen = dict(gate.seen)
        news = {i: c for i, c in shown.items() if i != g and c > seen.get(i, 0)}
        if news:
            gate.phase = OFF
            return 'gateway %d sees gateway %s alive, gives up' % (g, sorted(news))
        if s.time - gate.begun < (self.valid - 1 if self.broken('the watch is shorter than the lease') else self.watching):
            raise Refused('nothing changes')
        if self.announces():
            mine = max(i for i in shown) == g and len(shown) == 1
            if not mine:
                raise Refused('its announcement is not what the islands show')
        gate.phase, gate.read_at = READY, s.time
        return 'gateway %d saw silence for %d' % (g, s.time - gate.begun)

    def decide(self, s, ch, g, gate):
        """Takes the lease first, then reads the chain: soon after its last look, or it must look again."""
        if gate.phase == READY and s.time - gate.read_at >= self.valid:
            gate.phase = OFF
            return 'gateway %d was slow, gives up' % g
        gate.begun = s.time
        landed = self.put(s, ch, g, gate)
        if bin(gate.landed).count('1') < self.w:
            gate.phase = OFF
            return 'gateway %d takes the lease on %s: too few, gives up' % (g, landed)
        s.decided += 1
        gate.phase, gate.order, gate.read_at, gate.until = SERVING, s.decided, s.time, s.time + self.valid
        return 'gateway %d takes the lease on %s, reads the chain and opens an epoch' % (g, landed)

    def take(self, s, ch, g, gate):
        """Instead of an announcement: writes, and looks again before it reads the chain."""
        if s.time - gate.read_at >= self.valid:
            gate.phase = OFF
            return 'gateway %d was slow, gives up' % g
        gate.begun, gate.phase = s.time, TAKEN
        landed = self.put(s, ch, g, gate)
        if bin(gate.landed).count('1') < self.w:
            gate.phase = OFF
        return 'gateway %d takes the lease on %s%s' % (g, landed, ': too few, gives up' if gate.phase == OFF else '')

    def confirm(self, s, ch, g, gate):
        shown, _ = self.look(s, ch)
        if shown is None:
            raise Refused('too few answer')
        seen = dict(gate.seen)
        if any(i != g and c > seen.get(i, 0) for i, c in shown.items()):
            gate.phase = OFF
            return 'gateway %d sees another lease, gives up' % g
        s.decided += 1
        gate.phase, gate.order, gate.read_at, gate.until = SERVING, s.decided, s.time, gate.begun + self.valid
        return 'gateway %d sees its own lease, reads the chain and opens an epoch' % g
