"""The chain of one realm on its islands: what gateways write, and what goes wrong. What a start decides is in recovery.py.

An island is a store without conditional writes, with a marker (incarnation). It can be wiped, rolled back to an older state (a liar), replaced by a
new one, have its head slots rot. A PUT lands now (confirmed) or stays pending and lands at any later moment or never; a lost reply, a zombie's late
PUT and a dead gateway's last sends are the same thing. DIR has the head (exact or not) and the view, which may lag behind each other after a crash
of the machine.

Contents of blobs, in order of creation (their index is their identity):
    ('o', number, history)              epoch-open; the history up to the parent's tail stands for the parent's hash
    ('r', open, seq, told)              commit with one data shard per island; told = acknowledged commits of its epoch when it was built
    ('c', number)                       claim
    ('s', open, seq, history)           snapshot at (open, seq): ordinary extents, readable from k shards
    ('h', i, open, seq, snapshots)      head, written to slot i mod 2, whole on every island; snapshots: newest first, at most two
"""
from search import Refused, Violation

LIARS = 1  # f of the protocol

BUDGET = ('commits', 'recs', 'late', 'wipes', 'rolls', 'dirloss', 'lags', 'snaps', 'heads', 'truncs', 'moves', 'rots')

STEPS = {'send': 'commits', 'snapshot': 'snaps', 'head': 'heads', 'truncate': 'truncs'}  # what a gateway does, and its budget

# Columns: one per island.
#   store, pend: bit masks over contents: here / sent and not landed;  conf: confirmed to the gateway that lives
#   ack: confirmed when it became visible, not damaged since;  past: everything that ever landed (what a rollback can bring back)
#   ros: entry of every open's roster: incarnation; 0 lost; negative: silent and not counted
INC, LIAR, HURT, BAD, STORE, PEND, CONF, ACK, PAST, ROS = range(10)


class Scope:
    """n, k and budgets; `window` commits in flight, `ahead` names looked at after a gap; `mutants`: rules that are broken."""

    def __init__(self, n, k, window=2, ahead=2, mutants=(), **budget):
        self.n, self.k, self.w = n, k, max(k + 1, n - k + 1)
        self.window, self.ahead = window, ahead
        self.mutants = frozenset([mutants] if isinstance(mutants, str) else mutants)
        unknown = set(budget) - set(BUDGET)
        assert not unknown, unknown
        self.budget = [budget.get(b, 0) for b in BUDGET]
        self.w_ack = self.w - 1 if self.broken('ack at w-1') else self.w
        self.w_open = self.w - 1 if self.broken('claims and opens at w-1') else self.w

    def broken(self, mutant):
        return mutant in self.mutants


class State:
    FIELDS = ('alive', 'cur', 'nseq', 'hist', 'exposed', 'told', 'voided', 'head', 'view', 'snaps', 'next_head', 'trunc', 'gone', 'cont', 'incs')
    __slots__ = FIELDS + ('bud', 'cols', 'lab', 'note')

    def key(self):
        order = sorted(range(len(self.cols)), key=lambda i: self.cols[i])
        self.lab = [self.lab[i] for i in order]
        self.cols = [self.cols[i] for i in order]
        return tuple(getattr(self, f) for f in State.FIELDS) + (tuple(self.bud), tuple(tuple(c) for c in self.cols))

    @staticmethod
    def of(key, lab=None):
        s = State()
        for f, v in zip(State.FIELDS, key):
            setattr(s, f, v)
        s.bud, s.cols = list(key[-2]), [list(c) for c in key[-1]]
        s.lab, s.note = lab or list(range(len(s.cols))), ''
        return s

    # ------------------------------------------------------------ contents
    def add(self, content):
        self.cont += (content,)
        return len(self.cont) - 1

    def find(self, content):
        return next((x for x, c in enumerate(self.cont) if c == content), None)

    def record(self, open_id, seq):
        return next((x for x, c in enumerate(self.cont) if c[0] == 'r' and c[1] == open_id and c[2] == seq), None)

    def opens(self, number):
        return [x for x, c in enumerate(self.cont) if c[0] == 'o' and c[1] == number]

    def roster(self, i, open_id):
        return self.cols[i][ROS][sum(1 for c in self.cont[:open_id] if c[0] == 'o')]

    def holders(self, x, among=None):
        return [i for i in (range(len(self.cols)) if among is None else among) if self.cols[i][STORE] >> x & 1]

    def acked(self):  # commits of the current epoch that were acknowledged
        return len(self.hist) - len(self.cont[self.cur][2])

    def hurt(self):
        return sum(c[HURT] for c in self.cols)

    def take(self, name):
        i = BUDGET.index(name)
        if not self.bud[i]:
            raise Refused('budget')
        self.bud[i] -= 1

    def left(self, name):
        return self.bud[BUDGET.index(name)]

    # ------------------------------------------------------------ text
    def islands(self, ids):
        return '{' + ','.join('ABCDEFGHI'[self.lab[i]] for i in sorted(ids, key=lambda j: self.lab[j])) + '}'

    def show(self, x):
        c = self.cont[x]
        if c[0] == 'r':
            return 'r%d.%d' % (self.cont[c[1]][1], c[2]) + ('' if len(self.opens(self.cont[c[1]][1])) < 2 else '#%d' % c[1])
        if c[0] == 'o':
            return 'open%d(tail %s)' % (c[1], self.show(c[2][-1]) if c[2] else '-')
        if c[0] == 's':
            return 'snapshot@%s' % (self.show(c[3][-1]) if c[3] else '-')
        if c[0] == 'h':
            return 'head%d(%d.%d; %s)' % (c[1], self.cont[c[2]][1], c[3], ' '.join(self.show(y) for y in c[4]) or 'no snapshot')
        return 'claim%d' % c[1]

    def names(self, xs):
        return ','.join(self.show(x) for x in xs) or 'nothing'


def overwrites(s, x, y):
    """Contents x and y have one name."""
    a, b = s.cont[x], s.cont[y]
    if x == y or a[0] != b[0]:
        return False
    return a[1] == b[1] if a[0] == 'o' else a[0] == 'h' and a[1] % 2 == b[1] % 2


def land(s, i, x):
    col = s.cols[i]
    if s.cont[x][0] in 'oh':
        for y in range(len(s.cont)):
            if col[STORE] >> y & 1 and overwrites(s, x, y):
                col[STORE] &= ~(1 << y)
    if s.cont[x][0] == 'h':
        col[BAD] &= ~(1 << s.cont[x][1] % 2)
    col[STORE] |= 1 << x
    col[PAST] |= 1 << x
    col[PEND] &= ~(1 << x)


def send(s, ch, x, to):
    """PUT x to islands: each lands now or stays pending. Returns those that confirmed."""
    ok = []
    for i in to:
        if s.cols[i][STORE] >> x & 1:
            ok.append(i)
        elif ch.pick(2) == 0:
            land(s, i, x)
            ok.append(i)
        else:
            s.cols[i][PEND] |= 1 << x
    return ok


def visible(scope, s, hist, confirmed, read_only=False):
    """`hist` is shown to clients from now on. Checks it against everything that was ever shown, then remembers it."""
    old = s.exposed
    bad = next((j for j, r in enumerate(old) if j >= len(hist) or hist[j] != r), None)
    if bad is not None:
        if read_only and hist == old[:len(hist)]:
            return  # it may lag
        broken_promise(scope, s, bad, 'is gone from the history')
    for r in hist:
        if s.voided >> r & 1:
            raise Violation('%s was void, and is visible now' % s.show(r))
    for r in hist[len(old):]:
        holders = confirmed(r)
        for i in holders:
            s.cols[i][ACK] |= s.cols[i][STORE] & 1 << r
        s.told += (len(holders),)
    s.exposed = hist


def broken_promise(scope, s, j, what):
    """Exposed commit j is lost. Within the promise that is a violation: islands hurt (wiped or lying) <= confirmed - k, or k of the islands that
    confirmed it are unhurt (unless it was deleted on purpose: then it lives in snapshots)."""
    r = s.exposed[j]
    intact = sum(c[ACK] >> r & 1 for c in s.cols)
    promised = max(min(s.told[j], scope.n), scope.w)
    if s.hurt() <= promised - scope.k or (intact >= scope.k and s.hurt() <= scope.n - scope.k and not s.gone >> r & 1):
        raise Violation((s.note + ' ** ' if s.note else '') + '%s, acknowledged or shown before, %s (islands wiped or lying: %d; unhurt islands that confirmed it: %d)'
                        % (s.show(r), what, s.hurt(), intact))
    raise Refused('beyond the promise')


class Chain:
    """The model that search.py explores. `prepare`: steps taken before the search begins, so that it can reach what lies deep."""

    def __init__(self, scope, prepare=()):
        self.scope, self.prepare, self.prelude = scope, prepare, []

    def of(self, key, labels=None):
        return State.of(key, labels)

    def root(self, ch):
        from recovery import start
        c = self.scope
        s = State()
        s.alive, s.cur, s.nseq, s.hist, s.exposed, s.told, s.voided = True, 0, 1, (), (), (), 0
        s.head, s.view, s.snaps, s.next_head, s.trunc, s.gone = (0, 0, True), (), (), 0, None, 0
        s.bud, s.cont, s.incs = list(c.budget), (('o', 1, ()),), 1
        s.cols = [[1, 0, 0, 0, 1, 0, 0, 0, 1, (1,)] for _ in range(c.n)]  # epoch 1 is open everywhere
        s.lab, s.note = list(range(c.n)), ''
        self.prelude = []
        s.bud = [len(self.prepare) if b in STEPS.values() or b == 'recs' else 0 for b in BUDGET]
        for act in self.prepare:
            s.key()
            try:
                if act == 'start' and not s.alive:
                    self.prelude.append(start(self.scope, s, ch))
                elif act == 'crash' or self.can(s, act):
                    self.prelude.append(getattr(self, '_' + act)(s, ch))
            except Refused:
                pass
        s.bud = list(c.budget)
        return s

    def settled(self, s):
        from recovery import check_progress
        if not s.alive:
            check_progress(self.scope, s)

    # ------------------------------------------------------------ one step
    def step(self, s, ch):
        from recovery import start
        acts = [act for act in STEPS if self.can(s, act)]
        if s.left('recs'):
            acts.append('crash' if s.alive else 'start')
        acts += ['late'] * (s.left('late') > 0 and any(c[PEND] for c in s.cols))
        acts += ['wipe'] * (s.left('wipes') > 0)
        acts += ['roll'] * (s.left('rolls') > 0)
        acts += ['rot'] * (s.left('rots') > 0 and any(x[0] == 'h' for x in s.cont))
        if not acts:
            raise Refused('end')
        act = acts[ch.pick(len(acts))]
        if act == 'start':
            return start(self.scope, s, ch)
        return getattr(self, '_' + act)(s, ch)

    def can(self, s, act):
        if not s.alive or not s.left(STEPS[act]):
            return False
        if act == 'send':
            return s.nseq - 1 - s.acked() < self.scope.window + self.scope.broken('one more in flight than recovery assumes')
        if act == 'snapshot':
            return len(s.hist) > 0 and not (s.snaps and s.cont[s.snaps[0]][3] == s.hist)
        return act == 'head' or s.trunc is not None

    def targets(self, s):
        return [i for i in range(self.scope.n) if s.roster(i, s.cur) > 0]

    def acknowledge(self, s):
        """In order, at w confirmations; the head in DIR first."""
        text = ''
        while True:
            r = s.record(s.cur, s.acked() + 1)
            conf = [] if r is None else [i for i in range(self.scope.n) if s.cols[i][CONF] >> r & 1]
            if len(conf) < self.scope.w_ack:
                return text
            s.hist += (r,)
            s.head, s.view = (s.cur, s.acked(), True), s.hist
            visible(self.scope, s, s.hist, lambda _: conf)
            text += '; ACK ' + s.show(r)

    def _send(self, s, ch):
        s.take('commits')
        r = s.add(('r', s.cur, s.nseq, s.acked()))
        s.nseq += 1
        ok = send(s, ch, r, self.targets(s))
        for i in ok:
            s.cols[i][CONF] |= 1 << r
        return 'send %s: lands on %s' % (s.show(r), s.islands(ok)) + self.acknowledge(s)

    def _snapshot(self, s, ch):
        s.take('snaps')
        x = s.add(('s', s.cur, s.acked(), s.hist))
        ok = send(s, ch, x, self.targets(s))
        text = '%s lands on %s' % (s.show(x), s.islands(ok))
        if len(ok) < (self.scope.k if self.scope.broken('a snapshot counts at k') else self.scope.w):
            return text + ': given up'
        for i in ok:
            s.cols[i][CONF] |= 1 << x
        s.snaps = (x,) + s.snaps[:1]
        s.trunc = None
        return text

    def _head(self, s, ch):
        s.take('heads')
        seq = s.acked()
        if self.scope.broken('a head tells what is sent, not what is acknowledged'):
            seq = s.nseq - 1
        x = s.add(('h', s.next_head, s.cur, seq, s.snaps))
        s.next_head += 1
        ok = send(s, ch, x, self.targets(s))
        need = 0 if self.scope.broken('truncate before the head is on w') else self.scope.w
        pair = s.snaps if len(s.snaps) == 2 else s.snaps * 2 if self.scope.broken('truncate under one snapshot') else ()
        # A snapshot with shards missing protects less than the records it would replace: one of the two must be on every island of the roster.
        whole = any(all(s.cols[i][CONF] >> y & 1 for i in self.targets(s)) for y in pair) or self.scope.broken('truncate under snapshots in debt')
        if pair and whole and len(ok) >= need:
            s.trunc = pair
        return '%s to slot %d of %s' % (s.show(x), (s.next_head - 1) % 2, s.islands(ok))

    def _truncate(self, s, ch):
        """Deletes commits strictly below the older snapshot, and all snapshots but the two; on each island all of it or nothing."""
        s.take('truncs')
        newer, older = s.trunc
        edge = s.cont[newer if self.scope.broken('truncate below the newer snapshot') else older][3]
        doomed = 0
        for r in edge if self.scope.broken('truncate at the snapshot too') else edge[:-1]:
            doomed |= 1 << r
        s.gone |= doomed
        for x, c in enumerate(s.cont):
            if c[0] == 's' and x not in s.snaps and x not in s.trunc:
                doomed |= 1 << x
        s.trunc = None
        ok = []
        for i, col in enumerate(s.cols):
            if ch.pick(2) == 0:
                col[STORE] &= ~doomed
                ok.append(i)
        return 'truncation: %s deleted on %s' % (s.names(x for x in range(len(s.cont)) if doomed >> x & 1), s.islands(ok))

    def _crash(self, s, ch):
        text = 'the gateway is killed'
        if s.left('lags') and ch.pick(2):
            s.take('lags')
            base = self.scope.broken('a head is believed after a reboot')
            seq = ch.pick(s.head[1] + 1)  # the write of the epoch-open is synced, later ones are not
            cut = ch.pick(3)
            old = (s.view, s.cont[s.cur][2], ())[cut]
            s.head, s.view = (s.head[0], seq, base), old
            text = 'the machine crashes: DIR/head is back at %d.%d, the view at %s' % (s.cont[s.head[0]][1], seq, s.names(old[-1:]))
        elif s.left('dirloss') and ch.pick(2):
            s.take('dirloss')
            s.head = s.view = None
            s.snaps = ()
            text += ', DIR is lost'
        s.alive, s.nseq, s.hist, s.trunc = False, 0, (), None
        for c in s.cols:
            c[CONF] = 0
        return text

    def _late(self, s, ch):
        waiting = [(i, x) for i in range(self.scope.n) for x in range(len(s.cont)) if s.cols[i][PEND] >> x & 1]
        i, x = waiting[ch.pick(len(waiting))]
        s.take('late')
        land(s, i, x)
        text = 'delayed PUT of %s lands on %s' % (s.show(x), s.islands([i]))
        if s.alive and s.cont[x][0] == 'r' and s.cont[x][1] == s.cur:
            s.cols[i][CONF] |= 1 << x
            text += self.acknowledge(s)
        return text

    def _wipe(self, s, ch):
        there = [i for i in range(self.scope.n) if s.cols[i][INC]]
        if not there:
            raise Refused('none')
        i = there[ch.pick(len(there))]
        s.take('wipes')
        s.cols[i][INC] = s.cols[i][STORE] = s.cols[i][ACK] = s.cols[i][PAST] = 0
        s.cols[i][HURT] = 1
        return 'island %s is wiped' % s.islands([i])

    def _roll(self, s, ch):
        if any(c[LIAR] for c in s.cols) and sum(c[LIAR] for c in s.cols) >= LIARS:
            raise Refused('f liars')
        can = [(i, x) for i in range(self.scope.n) for x in range(1, len(s.cont)) if s.cols[i][STORE] >> x]
        if not can:
            raise Refused('none')
        i, x = can[ch.pick(len(can))]
        s.take('rolls')
        col = s.cols[i]
        below = (1 << x) - 1
        col[STORE] &= below
        col[ACK] &= below
        for slot in (0, 1):  # what the slots held then is back
            heads = [y for y in range(x) if s.cont[y][0] == 'h' and s.cont[y][1] % 2 == slot and col[PAST] >> y & 1]
            for y in heads[-1:]:
                land(s, i, y)
        col[PAST] &= below
        col[LIAR] = col[HURT] = 1
        return 'island %s is set back to before %s' % (s.islands([i]), s.show(x))

    def _rot(self, s, ch):
        can = [i for i in range(self.scope.n) if not s.cols[i][BAD] == 3 and any(c[0] == 'h' and s.cols[i][STORE] >> x & 1 for x, c in enumerate(s.cont))]
        if not can:
            raise Refused('none')
        i = can[ch.pick(len(can))]
        s.take('rots')
        s.cols[i][BAD] = 3
        for x, c in enumerate(s.cont):
            if c[0] == 'h':
                s.cols[i][STORE] &= ~(1 << x)
        return 'the head slots of %s rot' % s.islands([i])
