#!/usr/bin/env bash
# The whole mission on this machine: a camera, a partition manager, three workers and a visualizer as processes over
# DDS, on real photos and a real video. Ends by itself; leaves pictures in demo_output/ in the checkout; its last line
# is one JSON object. Arguments go to `coedge demo` (see `scripts/demo.sh --help`).
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$checkout"
exec "$venv/bin/coedge" demo "$@"
