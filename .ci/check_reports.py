"""Sum up pytest's reports and fail on a skipped test that is not on the list.

`check_reports.py FOLDER allowed_skips.txt`: the folder has the JUnit reports of all parts of a run, at least one.
"""

import re
import sys
from collections import Counter
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


def read_reports(folder: Path) -> tuple[list[tuple[str, str]], Counter[str], float]:
    """Id and message of each skipped or expectedly failing test; how many came out how; seconds together."""
    skipped, outcomes, seconds = [], Counter(), 0.0
    for path in sorted(folder.glob("*.xml")):
        for suite in ElementTree.parse(path).iter("testsuite"):
            seconds += float(suite.get("time", 0))
            for case in suite.iter("testcase"):
                found = {element.tag: element for element in case}
                if "skipped" in found:
                    name = f"{case.get('classname')}::{case.get('name')}"
                    skipped.append((name, found["skipped"].get("message", "")))
                bad = "failed" if "failure" in found else "errors" if "error" in found else ""
                outcomes[bad or ("skipped" if "skipped" in found else "passed")] += 1
    return skipped, outcomes, seconds


def main() -> int:
    """Print every skip with its verdict, and the sum; 1 if one is not allowed, or no test was run."""
    folder, listing = map(Path, sys.argv[1:])
    allowed, (skipped, outcomes, seconds) = read_allowed(listing), read_reports(folder)
    refused = 0
    for test, message in skipped:
        reasons = [reason for pattern, reason in allowed if pattern.search(test)]
        refused += not reasons
        print(f"skipped, {'allowed: ' + reasons[0] if reasons else 'NOT ALLOWED'}: {test} ({message})")
    for pattern, _ in allowed:
        if not any(pattern.search(test) for test, _ in skipped):
            print(f"{listing}: {pattern.pattern!r} matches no skipped test; remove it if it is of no more use")
    print(f"{len(skipped)} skipped, {refused} of them not allowed")
    if not outcomes:
        print("no test was run")
        return 1
    words = [f"{outcomes[word]} {word}" for word in ("failed", "passed", "skipped", "errors") if outcomes[word]]
    print(f"===== {', '.join(words)} in {seconds:.2f}s =====")
    return int(refused > 0)


if __name__ == "__main__":
    sys.exit(main())
