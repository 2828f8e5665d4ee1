"""Fail on a skipped test that is not on the list: `check_skips.py junit.xml allowed_skips.txt`."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree


def read_allowed(path: Path) -> list[tuple[re.Pattern, str]]:
    """Patterns on test ids, each with its reason; a pattern without a reason is an error."""
    allowed = []
    for line in path.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, separator, reason = line.partition(" # ")
            if not separator or not reason.strip():
                raise SystemExit(f"{path}: {line!r} gives no reason")
            allowed.append((re.compile(pattern.strip()), reason.strip()))
    return allowed


def read_skipped(path: Path) -> list[tuple[str, str]]:
    """Id and message of each skipped or expectedly failing test in a JUnit report."""
    return [
        (f"{case.get('classname')}::{case.get('name')}", skipped.get("message", ""))
        for case in ElementTree.parse(path).iter("testcase")
        for skipped in case.iter("skipped")
    ]


def main() -> int:
    """Print every skip with its verdict; 1 if one is not allowed."""
    report, listing = map(Path, sys.argv[1:])
    allowed, skipped = read_allowed(listing), read_skipped(report)
    refused = 0
    for test, message in skipped:
        reasons = [reason for pattern, reason in allowed if pattern.search(test)]
        refused += not reasons
        print(f"skipped, {'allowed: ' + reasons[0] if reasons else 'NOT ALLOWED'}: {test} ({message})")
    for pattern, _ in allowed:
        if not any(pattern.search(test) for test, _ in skipped):
            print(f"{listing}: {pattern.pattern!r} matches no skipped test; remove it if it is of no more use")
    print(f"{len(skipped)} skipped, {refused} of them not allowed")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
