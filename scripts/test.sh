#!/usr/bin/env bash
# All checks: style, import order, and the tests, which run against the installed package. Arguments go to pytest:
#   scripts/test.sh test/rows          scripts/test.sh -m full          scripts/test.sh -k equivalence -x
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$checkout"
"$venv/bin/ruff" check
"$venv/bin/ruff" format --check
"$venv/bin/lint-imports" --no-logo
export COEDGE_TORCHVISION=$state/torchvision
[[ $# -eq 0 ]] || exec "$venv/bin/python" -m pytest "$@"

# Tests that only compute share two processors. Clusters have time limits and tests of their own for busy machines, so
# they have the machine for themselves. COEDGE_JUNIT_DIR: folder for reports.
computing=(
  test/equivalence test/execution test/graph test/planning test/rows test/spec test/test_api.py
  test/drawing test/docs test/packaging test/scripts test/cli/test_compare.py
)
report() { [[ -z ${COEDGE_JUNIT_DIR:-} ]] || echo "--junitxml=$COEDGE_JUNIT_DIR/$1.xml"; }
status=0
"$venv/bin/python" -m pytest $(report computing) --numprocesses 2 --dist loadfile "${computing[@]}" || status=$?
"$venv/bin/python" -m pytest $(report rest) "${computing[@]/#/--ignore=}" test || status=$?
exit "$status"
