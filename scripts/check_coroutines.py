#!/usr/bin/env python3
"""Greps src/ for coroutine constructs that the house rules forbid (CONTRIBUTING.md), conservatively: what it reports is wrong, what it
does not report may still be.

  - co_await inside an && or || or ?: expression: evaluation order and lifetimes there are not what the eye reads
  - two co_await in one statement: one per full expression, its result in a named variable
  - a lambda that captures and is itself a coroutine: its captures die with the lambda object, not with the coroutine
  - co_await inside a catch block

A line that ends in "// coroutine rule: REASON" is exempt. `--self-test` proves that each rule can fail.
"""
import argparse
import pathlib
import re
import sys

EXEMPT = re.compile(r"//\s*coroutine rule: \S")


def blank_out(text):
    """The same text with comments, strings and character literals replaced by spaces; newlines and length stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.DOTALL)

    def blank(match):
        if match.start() and match.group(0)[0] == "'" and text[match.start() - 1].isalnum():
            return match.group(0)  # a digit separator: 1'000
        return re.sub(r"[^\n]", " ", match.group(0))

    return pattern.sub(blank, text)


def matching(text, at, opening, closing):
    """Index after the bracket that closes the one at `at`, or -1."""
    depth = 0
    for index in range(at, len(text)):
        if text[index] == opening:
            depth += 1
        elif text[index] == closing:
            depth -= 1
            if depth == 0:
                return index + 1
    return -1


def own_body(body):
    """A function body without the bodies of lambdas inside it."""
    out, index = [], 0
    for match in lambdas(body):
        if match[0] < index:
            continue
        out.append(body[index:match[2]])
        index = match[3]
    out.append(body[index:])
    return "".join(out)


LAMBDA = re.compile(r"(?<![\w\])])\[(?!\[)")


def lambdas(code):
    """(start, captures, body start, body end) of each lambda, outermost first."""
    found = []
    for match in LAMBDA.finditer(code):
        end = matching(code, match.start(), "[", "]")
        if end < 0:
            continue
        captures = code[match.start() + 1:end - 1].strip()
        rest = re.match(r"\s*(<[^{}]*?>)?\s*(\()?", code[end:])
        at = end
        if rest and rest.group(2):
            at = matching(code, end + rest.end() - 1, "(", ")")
            if at < 0:
                continue
        tail = re.match(r"[\s\w:<>,*&]*(?:->[\s\w:<>,*&()]*?)?\{", code[at:])
        if not tail:
            continue
        start = at + tail.end() - 1
        stop = matching(code, start, "{", "}")
        if stop > 0:
            found.append((match.start(), captures, start, stop))
    return found


def full_expressions(code):
    """(offset, text) of statements, with the condition of an if or while apart from what it guards."""
    for match in re.finditer(r"[^;{}]+", code):
        offset, statement = match.start(), match.group(0)
        while True:
            head = re.match(r"\s*(?:else\s+)?(?:if(?:\s+constexpr)?|while)\s*\(", statement)
            stop = matching(statement, head.end() - 1, "(", ")") if head else -1
            if stop < 0:
                break
            yield offset, statement[:stop]
            offset, statement = offset + stop, statement[stop:]
        yield offset, statement


def check_text(text):
    """Yields (line number, message)."""
    code = blank_out(text)
    lines = text.splitlines()

    def line_of(offset):
        return code.count("\n", 0, offset) + 1

    def exempt(first, last):
        return any(EXEMPT.search(line) for line in lines[first - 1:last])

    for start, captures, body, stop in lambdas(code):
        if captures and re.search(r"\bco_(await|return|yield)\b", own_body(code[body + 1:stop - 1])):
            if not exempt(line_of(start), line_of(body)):
                yield line_of(start), f"a coroutine lambda must not capture [{captures}]: pass parameters, or use a static member function"

    for match in re.finditer(r"\bcatch\s*\(", code):
        after = matching(code, match.end() - 1, "(", ")")
        brace = code.find("{", after)
        stop = matching(code, brace, "{", "}") if after > 0 and brace > 0 else -1
        if stop > 0 and "co_await" in code[brace:stop] and not exempt(line_of(match.start()), line_of(stop)):
            yield line_of(match.start()), "no co_await inside a catch block"

    # Statements: text between ; { } at any depth. for(;;) headers are cut apart too, which only loses findings.
    for offset, statement in full_expressions(code):
        awaits = len(re.findall(r"(?<!operator )\bco_await\b", statement))
        if not awaits:
            continue
        first = line_of(offset + len(statement) - len(statement.lstrip()))
        last = line_of(offset + len(statement))
        if exempt(first, last):
            continue
        if awaits > 1:
            yield first, "more than one co_await in a full expression: give each its own named variable"
        # && as an rvalue reference has a type or auto before it and a name or ) after it; in an expression it stands between spaces.
        elif re.search(r"\s&&\s", statement) or "||" in statement:
            yield first, "co_await in an expression with && or ||: await first, into a named variable"
        elif re.search(r"\s\?\s", statement):
            yield first, "co_await in a ?: expression: use if"


def self_test():
    cases = [
        ("auto r = co_await f();\nif (r && x) {}\n", None),
        ("if (co_await f() && x) {}\n", "&&"),
        ("if (a && b) co_await f();\n", None),
        ("if (a) x = co_await f() && b;\n", "&&"),
        ("while (a || co_await f()) g();\n", "||"),
        ("bool b = x || co_await f();\n", "||"),
        ("auto v = x ? co_await f() : y;\n", "?:"),
        ("auto v = g(co_await f(), co_await h());\n", "more than one"),
        ("// if (co_await f() && x)\n", None),
        ('log("co_await a && co_await b");\n', None),
        ("auto l = [x]() -> io::Task<void> { co_await f(x); };\n", "must not capture"),
        ("auto l = [&] { co_return; };\n", "must not capture"),
        ("auto l = [](int x) -> io::Task<void> { co_await f(x); };\n", None),
        ("auto l = [x] { return x; };\nco_await f(l);\n", None),
        ("auto l = [x] { return [](int y) -> Task<int> { co_return y; }(x); };\n", None),
        ("auto operator co_await() && { return 1; }\n", None),
        ("try { f(); } catch (const E& e) { co_await g(); }\n", "catch"),
        ("auto v = x ? co_await f() : y;  // coroutine rule: generated\n", None),
        ("void f(T&& x);\nauto r = co_await g(a[1'000]);\n", None),
    ]
    failures = 0
    for text, expected in cases:
        found = list(check_text(text))
        good = not found if expected is None else len(found) == 1 and expected in found[0][1]
        if not good:
            failures += 1
            print(f"self-test: {text!r}: expected {expected!r}, got {found}", file=sys.stderr)
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true", help="check that every rule can fail")
    options = parser.parse_args()
    if options.self_test:
        sys.exit(1 if self_test() else 0)
    root = pathlib.Path(__file__).resolve().parent.parent
    bad = 0
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        for number, message in check_text(path.read_text(encoding="utf-8")):
            bad += 1
            print(f"{path.relative_to(root)}:{number}: {message}", file=sys.stderr)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
