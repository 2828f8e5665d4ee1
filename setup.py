"""`pip install --no-build-isolation .` as a complete install into a Python environment that holds the ROS 2 wheels.

CMake builds the package exactly as colcon would, into a staging folder; the staged files become the wheel. So pip owns
every file (messages, shared libraries, ament index entry, share/, lib/coedge_ros) and `pip uninstall` leaves nothing.
The CMake build folder is kept under build/, one for each environment: after an edit of Python code a re-install takes
seconds. The wheel is for the environment that built it: its executables name that environment's interpreter.
colcon does not read this file: package.xml says ament_cmake.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

PACKAGE = "coedge_ros"
ROOT = Path(__file__).resolve().parent
PREFIX = Path(sys.prefix)
# One name for the interpreter, whichever of its links started pip.
PYTHON = next((path for path in [PREFIX / "bin" / "python3"] if path.exists()), Path(sys.executable))
CMAKE_OPTIONS = [
    "-DCMAKE_BUILD_TYPE=Release",
    "-DBUILD_TESTING=OFF",
    "-DCOEDGE_INSTALL_COMMAND=OFF",
    f"-DCMAKE_INSTALL_PREFIX={PREFIX}",
    f"-DPython3_EXECUTABLE={PYTHON}",
]


def ros_prefixes() -> list[Path]:
    """Where ROS 2 is: this environment if it holds the wheels, otherwise what the sourced setup file names."""
    if (PREFIX / "share" / "rosidl_default_generators").is_dir():
        return [PREFIX]
    return [Path(path) for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]


def build_folder() -> Path:
    """One folder for each environment, ROS version, checkout and set of options: a cached build never meets another."""
    identity = [sys.version, str(ROOT), *CMAKE_OPTIONS]
    for prefix in ros_prefixes():
        for name in ("ament_cmake", "rosidl_default_generators", "std_msgs"):
            manifest = prefix / "share" / name / "package.xml"
            identity.append(manifest.read_text() if manifest.exists() else str(prefix))
    digest = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:12]
    base = Path(os.environ.get("COEDGE_BUILD_DIR", ROOT / "build"))
    return base / f"{sys.implementation.cache_tag}-{digest}"


def check_tools() -> None:
    """Name everything that is missing at once, instead of CMake's first complaint.

    Raises
    ------
    SystemExit
        With what to install.
    """
    problems = []
    if not any((prefix / "share" / "rosidl_default_generators").is_dir() for prefix in ros_prefixes()):
        problems.append(
            "ROS 2 was not found. Either `pip install -r requirements/ros-kilted.txt` into this environment, "
            "or source the setup file of your ROS 2."
        )
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        problems.append(f"Python headers are missing: sudo apt install python3.{sys.version_info.minor}-dev")
    if not any(map(shutil.which, [os.environ.get("CXX", "g++"), "c++", "clang++"])):
        problems.append("A C++ compiler is missing: sudo apt install g++")
    if not tool("cmake"):
        problems.append("CMake is missing: pip install 'cmake<4'")
    if problems:
        raise SystemExit(f"{PACKAGE} cannot be built:\n  - " + "\n  - ".join(problems))


def tool(name: str) -> str | None:
    """Path of a build tool, this environment's own before the machine's."""
    return shutil.which(name, path=os.pathsep.join([str(PREFIX / "bin"), os.environ.get("PATH", os.defpath)]))


def stage(folder: Path) -> Path:
    """Build and install into `folder`/stage; returns the folder there that stands for the environment's root."""
    check_tools()
    environment = dict(os.environ)
    environment["PATH"] = os.pathsep.join([str(PREFIX / "bin"), os.environ.get("PATH", os.defpath)])
    environment["AMENT_PREFIX_PATH"] = environment["CMAKE_PREFIX_PATH"] = os.pathsep.join(map(str, ros_prefixes()))
    environment.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))

    def cmake(*arguments: str) -> None:
        if subprocess.run([tool("cmake"), *arguments], env=environment).returncode:
            raise SystemExit(f"{PACKAGE} could not be built: see CMake's or the compiler's message above.")

    generated, staging, done = folder / "cmake", folder / "stage", folder / "configured"
    interfaces = "\n".join(sorted(path.name for kind in ("msg", "srv") for path in (ROOT / kind).glob(f"*.{kind}")))
    if not done.exists() or done.read_text() != interfaces:
        # From the start when a message came or went: rosidl would keep what it generated for one that is gone.
        shutil.rmtree(generated, ignore_errors=True)
        generator = ["-G", "Ninja"] if tool("ninja") else []
        cmake("-S", str(ROOT), "-B", str(generated), *generator, *CMAKE_OPTIONS)
        done.write_text(interfaces)
    cmake("--build", str(generated))
    # Emptied first: a module deleted from the checkout must not live on in the wheel.
    shutil.rmtree(staging, ignore_errors=True)
    environment["DESTDIR"] = str(staging)
    cmake("--install", str(generated))
    return staging / PREFIX.relative_to(PREFIX.anchor)


class BuildStaged(build_py):
    """Takes the Python code from the staged install and hands its other files to pip as data."""

    def run(self) -> None:
        if self.editable_mode:
            raise SystemExit(
                "An editable install would hide the generated messages behind the checkout. "
                "Install again after an edit instead: it takes seconds."
            )
        root = stage(FOLDER)
        (messages,) = root.rglob(f"{PACKAGE}/msg/__init__.py")
        modules = messages.parents[1]
        shutil.rmtree(self.build_lib, ignore_errors=True)
        shutil.copytree(modules, Path(self.build_lib) / PACKAGE)

        # pip removes a folder only where a file of ours lies directly in it; without one, empty folders would stay.
        (root / "include" / PACKAGE / ".owned_by_pip").touch()
        data = defaultdict(list)
        for path in sorted(root.rglob("*")):
            # Beside the modules lies a second egg-info made by rosidl, which would name the distribution twice.
            if path.is_file() and not path.is_relative_to(modules.parent):
                data[str(path.parent.relative_to(root))].append(str(path))
        self.distribution.data_files = sorted(data.items())


class BinaryDistribution(Distribution):
    """The wheel holds shared libraries for one Python version and machine."""

    def has_ext_modules(self) -> bool:
        return True


FOLDER = build_folder()
EGG_INFO = FOLDER / "egg-info"
EGG_INFO.mkdir(parents=True, exist_ok=True)
setup(
    version=ElementTree.parse(ROOT / "package.xml").findtext("version"),
    packages=[PACKAGE],
    distclass=BinaryDistribution,
    cmdclass={"build_py": BuildStaged},
    options={"build": {"build_base": str(FOLDER / "python")}, "egg_info": {"egg_base": str(EGG_INFO)}},
)
