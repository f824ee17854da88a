"""Reads an strace of the gateway and says, for each successful response, on which islands data were durable when it left.

Durable on an island: a file's bytes were synced (fsync, fdatasync), a directory entry for it was made (rename, link, or open with
O_CREAT), and that directory was synced after both. Input: strace -f -ttt -T -yy with the calls of CALLS. A call that was
interrupted in the log (`<unfinished ...>` and `<... resumed>`) counts from its first line's time to its second's.
"""
import dataclasses
import os
import re

CALLS = ("open,openat,creat,write,pwrite64,pwritev,pwritev2,writev,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,"
         "sendmsg,sendto")

LINE = re.compile(r"^(?P<pid>\d+)\s+(?P<at>\d+\.\d+)\s+(?P<rest>.*)$")
RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")
CALL = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)\)\s+=\s+(?P<result>-?\d+|\?)(?P<after>.*)$")
DESCRIPTOR = re.compile(r"^(?P<number>\d+|AT_FDCWD)<(?P<path>(?:[^>\\]|\\.|->)*)>")
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclasses.dataclass
class Call:
    name: str
    arguments: str
    result: int
    after: str
    start: float
    end: float


def calls(text):
    """Completed calls in the order in which they ended."""
    unfinished, out = {}, []
    for line in text.splitlines():
        match = LINE.match(line)
        if not match:
            continue
        pid, at, rest = match["pid"], float(match["at"]), match["rest"]
        start = at
        resumed = RESUMED.match(rest)
        if resumed:
            if (pid, resumed["name"]) not in unfinished:
                continue
            start, before = unfinished.pop((pid, resumed["name"]))
            rest = before + resumed["rest"]
        elif rest.endswith("<unfinished ...>"):
            name = rest.partition("(")[0]
            unfinished[pid, name] = (at, rest[:-len("<unfinished ...>")].rstrip())
            continue
        parsed = CALL.match(rest)
        if not parsed or parsed["result"] == "?":
            continue
        took = re.search(r"<(\d+\.\d+)>$", parsed["after"])
        # A resumed line carries its own time of printing; its duration is counted from the start.
        end = start + float(took[1]) if took else at
        out.append(Call(parsed["name"], parsed["arguments"], int(parsed["result"]), parsed["after"], start, max(end, start)))
    return sorted(out, key=lambda c: c.end)


def descriptor_path(text):
    match = DESCRIPTOR.match(text)
    return match["path"] if match else None


def argument_path(directory, quoted):
    return os.path.normpath(os.path.join(directory or "/", quoted))


@dataclasses.dataclass
class Durable:
    island: str
    path: str
    bytes: int
    at: float


@dataclasses.dataclass
class Answer:
    status: int
    at: float


def analyse(text, islands):
    """(list of Durable, list of Answer) of a trace; `islands` is the directory that holds the islands' directories."""
    islands = os.path.realpath(islands)
    written, synced = {}, {}   # path -> bytes; path -> time of the last completed sync
    entries = {}               # directory -> {path: (time the entry was made, path under which the data were synced)}
    durable, answers = [], []

    def island_of(path):
        if path and path.startswith(islands + "/"):
            return path[len(islands) + 1:].split("/")[0]
        return None

    def plain(path):
        return path[:-len(" (deleted)")] if path and path.endswith(" (deleted)") else path

    for call in calls(text):
        if call.name in ("sendmsg", "sendto", "writev", "write") and call.result > 0:
            status = re.search(r'"HTTP/1\.1 (\d\d\d) ', call.arguments)
            if status and int(status[1]) >= 200:
                answers.append(Answer(int(status[1]), call.start))
                continue
        if call.result < 0:
            continue
        if call.name in ("write", "writev", "pwrite64", "pwritev", "pwritev2"):
            path = plain(descriptor_path(call.arguments))
            if island_of(path):
                written[path] = written.get(path, 0) + call.result
        elif call.name in ("open", "openat", "creat"):
            if "O_CREAT" in call.arguments or call.name == "creat":
                path = plain(descriptor_path(str(call.result) + call.after.lstrip()))
                if island_of(path):
                    entries.setdefault(os.path.dirname(path), {})[path] = (call.end, path)
        elif call.name in ("rename", "renameat", "renameat2", "link", "linkat"):
            names = QUOTED.findall(call.arguments)
            directories = [descriptor_path(part) for part in re.findall(r"(?:AT_FDCWD|\d+)<(?:[^>\\]|\\.)*>", call.arguments)]
            directories += [None] * (2 - len(directories))
            source, target = argument_path(directories[0], names[0]), argument_path(directories[1], names[-1])
            if not names[0] or source.startswith("/proc/self/fd/"):
                # linkat of an open file without a name: the descriptor says what it is.
                number = source.rpartition("/")[2]
                shown = [d for d in directories if d and "deleted" in d] or [f"/proc/self/fd/{number}"]
                source = plain(shown[0])
            if island_of(target):
                entries.setdefault(os.path.dirname(target), {})[target] = (call.end, source)
                if source != target:
                    written[target] = written.get(source, 0)
                    if source in synced:
                        synced[target] = synced[source]
        elif call.name in ("fsync", "fdatasync"):
            path = plain(descriptor_path(call.arguments))
            if not island_of(path):
                continue
            for entry, (made, source) in list(entries.get(path, {}).items()):
                # The data's sync and the entry must both be over before the directory's sync began.
                when = synced.get(entry, synced.get(source))
                if when is not None and when <= call.start and made <= call.start:
                    durable.append(Durable(island_of(entry), entry, written.get(entry, 0), call.end))
                    del entries[path][entry]
            synced[path] = call.end
    return durable, answers


def confirmed_before(durable, moment, since, bytes_min=1):
    """Islands with a durable blob of at least bytes_min, finished in [since, moment]."""
    return {d.island for d in durable if since <= d.at <= moment and d.bytes >= bytes_min}
