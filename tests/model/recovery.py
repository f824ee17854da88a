"""What a start decides from whatever islands answer: the rules of the protocol in the form that src/index implements, head slots, snapshots and
truncation included. `read` decides and writes nothing; `start` then completes, claims and opens, and may be cut off after any PUT."""
from search import Refused, Violation
from chain import BAD, CONF, HURT, INC, LIAR, LIARS, PEND, ROS, STORE, broken_promise, send, visible


class Verdict:
    def __init__(self):
        self.error = self.kind = None  # kind: undetermined, unavailable, rollback, fork, freshness
        self.cur = None  # the open to build on
        self.hist = ()  # history with what was adopted
        self.proven = 0  # so many of it are proven to have been acknowledged
        self.adopted = []
        self.next, self.claims = 0, []
        self.snaps, self.next_head = (), 0

    def fail(self, kind, text):
        self.kind, self.error = kind, kind + ': ' + text
        return self


def incarnation(entry):  # of a roster entry; 0: lost
    return abs(entry)


def count(scope, s, S, xs, judged, counted_only=False):
    """(absent, lost, members) for the name whose possible contents are xs, under the roster of open `judged`."""
    absent = lost = 0
    members = scope.n
    for i in range(scope.n):
        col, entry = s.cols[i], s.roster(i, judged)
        if counted_only and entry <= 0:
            members -= 1
            continue
        if i not in S or any(col[STORE] >> x & 1 for x in xs):
            continue
        if col[INC] == 0 or (col[INC] != incarnation(entry) and not scope.broken('any marker counts as present')):
            lost += 1
        else:
            absent += 1
    return absent, lost, members


def none_later(scope, absent, lost):
    need = scope.n - scope.w + 1
    if scope.broken('no later epoch without f'):
        return absent >= need
    if scope.broken('no later epoch at one absence less'):
        return absent >= need - 1 and (absent >= need - 1 + LIARS or absent + lost == scope.n)
    return absent >= need and (absent >= need + LIARS or absent + lost == scope.n)


def is_void(scope, absent, lost, m):
    first = max(1, m - scope.w + 1)
    second = m - scope.k + 1
    if scope.broken('void at one absence less'):
        first -= 1
    if scope.broken('void although k shards may turn up'):
        second -= 1
    if scope.broken('void without counting what may turn up'):
        second = 0
    return absent >= first and absent + lost >= second


def slots(s, S):
    """Valid heads that S shows, best first."""
    heads = [x for x, c in enumerate(s.cont) if c[0] == 'h' and s.holders(x, S)]
    return sorted(heads, key=lambda x: (s.cont[s.cont[x][2]][1], s.cont[x][3], s.cont[x][1]), reverse=True)


def chain_prefix(s, cur, hist):
    """`hist` lies on the chain that ends in open `cur`: within its ancestry, or going on in its own epoch."""
    base = s.cont[cur][2]
    if len(hist) <= len(base):
        return base[:len(hist)] == hist
    return hist[:len(base)] == base and all(s.cont[r][1] == cur for r in hist[len(base):])


def highest_open(scope, s, S, v, heads):
    number = s.cont[s.head[0]][1] if s.head else 1
    if heads:
        number = max(number, s.cont[s.cont[heads[0]][2]][1])
    found = [x for x in s.opens(number) if s.holders(x, S)]
    if not found:
        return v.fail('undetermined', 'open %d' % number)
    claimed = []
    while True:
        if len(found) > 1:
            return v.fail('fork', 'two opens %d' % number)
        if found:
            v.cur, claimed = found[0], []
        else:
            claimed.append(number)
        number += 1
        found = [x for x in s.opens(number) if s.holders(x, S)]
        claim = s.find(('c', number))
        if found or (claim is not None and s.holders(claim, S)):
            if scope.broken('no claims') and not found:
                claim = None
            else:
                continue
        name = s.opens(number) if scope.broken('no claims') else [claim] if claim is not None else []
        absent, lost, _ = count(scope, s, S, name, v.cur)
        if none_later(scope, absent, lost):
            break
        return v.fail('undetermined', 'claim %d' % number)
    for g in claimed:
        absent, lost, _ = count(scope, s, S, s.opens(g), v.cur)
        if not none_later(scope, absent, lost):
            return v.fail('undetermined', 'claim %d without an open' % g)
    v.claims, v.next = claimed, number
    return v


def fresh(scope, s, S, v):
    """The newest head can be on none but the islands whose slots were not read: few enough that it was on w of the others, f of them lying."""
    readable = sum(1 for i in S if s.cols[i][INC] and s.cols[i][INC] == incarnation(s.roster(i, v.cur)) and not s.cols[i][BAD])
    lost = sum(1 for i in S if s.cols[i][INC] == 0 or s.cols[i][INC] != incarnation(s.roster(i, v.cur)))
    return none_later(scope, readable, lost)


def choose_begin(scope, s, S, v, heads):
    """History to go on from: the view if it is a state of this chain, else the best snapshot that can be read, else the beginning."""
    edge = min((len(s.cont[x][3]) for h in heads[:1] for x in s.cont[h][4]), default=0)  # what lies before may be deleted
    if scope.broken('an old view is good enough'):
        edge = 0
    if s.view is not None and len(s.view) >= edge and chain_prefix(s, v.cur, s.view):
        if not s.view or s.holders(s.view[-1], S):
            return s.view
        if not is_void(scope, *count(scope, s, S, s.view[-1:], s.cont[s.view[-1]][1], True)):
            v.fail('unavailable', 'the record of the view')
            return None
    for head in heads:
        for x in s.cont[head][4]:
            if len(s.holders(x, S)) >= scope.k and chain_prefix(s, v.cur, s.cont[x][3]):
                return s.cont[x][3]
    return ()


def judge_tail(scope, s, S, v, seq, heads):
    """The last epoch from `seq` + 1 on. v.hist holds what lies before."""
    cur, base = v.cur, len(s.cont[v.cur][2])
    own = s.head is not None and s.head[0] == cur
    exact = own and s.head[2]
    proven = max(s.head[1] if own else 0, seq)
    if not scope.broken('a head slot proves nothing'):
        proven = max([proven] + [s.cont[h][3] for h in heads if s.cont[h][2] == cur])
    window = scope.window
    found, gap, look = [], seq + 1, 0
    at = seq + 1
    while look <= scope.ahead:
        r = s.record(cur, at)
        if r is not None and s.holders(r, S):
            if gap == at:
                found.append(r)
                gap += 1
            proven = max(proven, at - window, s.cont[r][3])
        if gap <= at:
            look += 1
        at += 1
    for r in found:
        number = s.cont[r][2]
        holders = s.holders(r, S)
        if len(holders) >= scope.k or number <= proven:
            v.hist += (r,)
            v.adopted.append(r)
            continue
        absent, lost, m = count(scope, s, S, [r], cur, True)
        if exact or is_void(scope, absent, lost, m):
            v.proven = min(base + proven, len(v.hist))
            return v
        v.proven = min(base + proven, len(v.hist))
        return v.fail('undetermined', s.show(r))
    v.proven = min(base + proven, len(v.hist))
    if exact and gap > proven:
        return v
    r = s.record(cur, gap)
    absent, lost, m = count(scope, s, S, [] if r is None else [r], cur, True)
    gone = is_void(scope, absent, lost, m)
    if gap <= proven:
        # Deleted under a snapshot that cannot be read now, or not heard: only with every island heard is it a rollback.
        if gone and len(S) == scope.n:
            return v.fail('rollback', 'commit %d was acknowledged and is nowhere' % gap)
        return v.fail('unavailable', 'commit %d was acknowledged and is on no island that answers' % gap)
    return v if gone else v.fail('undetermined', 'commit %d' % gap)


def read(scope, s, S):
    v = Verdict()
    heads = slots(s, S)
    if highest_open(scope, s, S, v, heads).error:
        return v
    exact = s.head is not None and s.head[0] == v.cur and s.head[2]
    if not exact and not scope.broken('stale slots are enough') and not fresh(scope, s, S, v):
        return v.fail('freshness', 'the head slots of too few islands can be read')
    base = s.cont[v.cur][2]
    for position in ([s.head[:2]] if s.head else []) + [s.cont[h][2:4] for h in heads]:  # both tell what was acknowledged
        o, seq = position
        if o != v.cur and (len(s.cont[o][2]) + seq > len(base) or base[:len(s.cont[o][2])] != s.cont[o][2]):
            return v.fail('rollback', 'epoch %d went on from before %d.%d' % (s.cont[v.cur][1], s.cont[o][1], seq))
    begin = choose_begin(scope, s, S, v, heads)
    if v.error:
        return v
    v.hist = begin if len(begin) > len(base) else base
    missing = [r for r in base[len(begin):] if not s.holders(r, S)]
    if missing:
        v.hist = begin
        v.proven = len(begin)
        return v.fail('unavailable', s.show(missing[0]) + ' of a closed epoch')
    judge_tail(scope, s, S, v, max(0, len(begin) - len(base)), heads)
    if not v.error and s.head is not None and s.head[0] == v.cur and s.head[1] > len(v.hist) - len(base):
        return v.fail('rollback', 'tail below DIR/head')
    v.snaps = s.snaps if s.view is not None else next((s.cont[h][4] for h in heads), ())
    v.snaps = tuple(x for x in v.snaps if chain_prefix(s, v.cur, s.cont[x][3]))
    v.next_head = max([s.next_head if s.view is not None else 0] + [s.cont[h][1] + 1 for h in heads])
    return v


def new_roster(scope, s, ch, S, v):
    """Lost islands are rejoined blank or stay lost; one that answers may be replaced by a new one; silent ones keep their entry, or are not counted."""
    roster, text = [], ''
    uncount = len(S) < scope.n and ch.pick(2)
    move = s.left('moves') > 0 and ch.pick(2)
    for i in range(scope.n):
        col, entry = s.cols[i], s.roster(i, v.cur)
        if i in S and col[INC] == 0:
            if ch.pick(2) == 0:
                s.incs += 1
                col[INC] = s.incs
                text += 'rejoins %s; ' % s.islands([i])
            roster.append(col[INC])
        elif i in S and move and s.left('moves') and ch.pick(2):
            s.take('moves')
            text += 'replaces %s by a new island; ' % s.islands([i])
            s.incs += 1
            roster.append(s.incs)
        elif i in S:
            roster.append(col[INC])
        else:
            roster.append(-incarnation(entry) if uncount else entry)
    return roster, text


def retire(scope, s, roster):
    """A replaced island answers for its place until the open with the new one is on w. The new one holds a copy of everything it held."""
    for i, col in enumerate(s.cols):
        if roster[i] <= col[INC] or col[INC] == 0:
            continue
        col[INC], col[PEND], col[CONF] = roster[i], 0, 0
        kinds = ''
        if scope.broken('an island is retired before its blobs are copied'):
            kinds = 'ocrsh'
        elif scope.broken('commit blobs are not copied to a new island'):
            kinds = 'r'
        elif scope.broken('claims and opens are not copied to a new island'):
            kinds = 'oc'
        col[STORE] &= ~sum(1 << x for x, c in enumerate(s.cont) if c[0] in kinds)


def start(scope, s, ch):
    s.take('recs')
    S = [i for i in range(scope.n) if ch.pick(2) == 0]
    v = read(scope, s, S)
    text = 'start (DIR %s) hears %s: ' % ('lost' if s.head is None else 'exact' if s.head[2] else 'kept, not exact', s.islands(S))
    shown = v.hist if scope.broken('read-only shows what is merely found') else v.hist[:v.proven]
    if v.error:
        if v.cur is None or v.kind in ('rollback', 'fork', 'freshness'):
            raise Refused(v.error)
        s.note = text + v.error + '; read-only, shows ' + s.names(shown)
        visible(scope, s, shown, lambda r: s.holders(r), True)
        return text + v.error + '; read-only, shows ' + s.names(shown)
    text += 'adopts %s; ' % s.names(v.adopted)
    roster, more = new_roster(scope, s, ch, S, v)
    text += more
    if sum(1 for e in roster if e > 0) < scope.w_open:
        s.note = text + 'fewer than w, read-only, shows ' + s.names(shown)
        visible(scope, s, shown, lambda r: s.holders(r), True)
        return text + 'fewer than w, read-only'
    to = [i for i in S if roster[i] > 0]
    if not scope.broken('no claims'):
        for number in ([] if scope.broken('claims leave gaps') else v.claims) + [v.next]:
            x = s.find(('c', number))
            if x is None:
                x = s.add(('c', number))
            ok = send(s, ch, x, to)
            text += 'claim%d on %s; ' % (number, s.islands(ok))
            if len(ok) < scope.w_open:
                return text + 'gives up'
    for x in [v.cur] + ([] if scope.broken('what is adopted is not completed') else v.adopted):
        have = s.holders(x)
        if len(s.holders(x, S)) >= scope.w_open or (s.cont[x][0] == 'r' and len(have) < scope.k):
            continue
        ok = send(s, ch, x, to)
        text += '%s completed to %s; ' % (s.show(x), s.islands(ok))
        if len(ok) < scope.w_open:
            return text + 'gives up'
    x = s.add(('o', v.next, v.hist))
    for i in range(scope.n):
        s.cols[i][ROS] += (roster[i],)
    ok = send(s, ch, x, to)
    text += '%s on %s' % (s.show(x), s.islands(ok))
    if len(ok) < scope.w_open:
        return text + '; gives up'
    s.note = text + '; serves'
    visible(scope, s, v.hist, lambda r: s.holders(r))
    retire(scope, s, roster)
    for y, c in enumerate(s.cont):
        if c[0] == 'r' and y not in v.hist:
            s.voided |= 1 << y
    s.alive, s.cur, s.nseq, s.hist = True, x, 1, v.hist
    s.head, s.view, s.snaps, s.next_head, s.trunc = (x, 0, True), v.hist, v.snaps, v.next_head, None
    return text + '; serves'


def check_progress(scope, s):
    """Every commit ever shown has its shards. With every island heard and none lying, a healthy realm starts, and nobody is accused who is honest."""
    for j, r in enumerate(s.exposed):
        if len(s.holders(r)) < scope.k and not s.gone >> r & 1 and s.hurt() <= max(min(s.told[j], scope.n), scope.w) - scope.k:
            raise Violation('%s has %d shards left with %d islands wiped or lying' % (s.show(r), len(s.holders(r)), s.hurt()))
    if any(c[LIAR] for c in s.cols):
        return
    v = read(scope, s, list(range(scope.n)))
    if not v.error:
        return
    hurt = s.hurt()
    half = 0 if v.cur is None else sum(1 for i, c in enumerate(s.cols) if c[INC] != s.roster(i, v.cur) and not c[HURT])  # being replaced
    bad = half + sum(1 for c in s.cols if c[BAD])
    if hurt == 0 and bad <= scope.w - 1 - LIARS:
        raise Violation('every island is healthy and heard, and still "%s" for ever' % v.error)
    if v.kind in ('rollback', 'fork', 'unavailable') and s.exposed:
        # Lost islands only: every commit ever shown must come back while they are no more than each commit's margin.
        if all(hurt + bad <= max(min(c, scope.n), scope.w) - scope.k for c in s.told):
            raise Violation('islands wiped: %d, within the promise, and still "%s" for ever' % (hurt, v.error))
