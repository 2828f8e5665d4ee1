#!/usr/bin/env bash
# All checks: style, import order, and the tests, which run against the installed package. Arguments go to pytest:
#   scripts/test.sh test/rows          scripts/test.sh -m full          scripts/test.sh -k equivalence -x
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$checkout"
"$venv/bin/ruff" check
"$venv/bin/ruff" format --check
"$venv/bin/lint-imports" --no-logo
export COEDGE_TORCHVISION=$state/torchvision
exec "$venv/bin/python" -m pytest "$@"
