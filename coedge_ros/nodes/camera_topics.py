"""Which topics the cameras of a cluster are read from. Without ROS: launch files and the security policy ask too."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coedge_ros.errors import UserError
from coedge_ros.nodes.topics import COMPRESSED_SUFFIX, IMAGE

TRANSPORTS = ("raw", "compressed")


def camera_topics(names: Iterable[str], transport: str = "raw", resolve: Callable[[str], str] = str) -> tuple[str, ...]:
    """Topics that are read, one per camera.

    Parameters
    ----------
    names : iterable of str
        Topics as the user names them; `image` when there is none. One that ends in `/compressed` is read compressed
        whatever the transport.
    transport : str
        One of `TRANSPORTS`. Compressed images come below the camera's topic, as image_transport names them.
    resolve : callable
        Makes absolute names, remapped: of the camera's topic, because that is what is remapped.

    Raises
    ------
    UserError
        When a camera is named twice.
    """
    found = []
    for name in [name.strip() for name in names if name.strip()] or [IMAGE]:
        topic = resolve(name)
        topic = compressed_topic(topic) if transport == "compressed" else topic
        if topic in found:
            raise UserError(f"parameter image_topics names {topic} twice: name each camera once")
        found.append(topic)
    return tuple(found)


def compressed_topic(topic: str) -> str:
    """Where the compressed images of a camera come."""
    return topic if is_compressed(topic) else f"{topic}/{COMPRESSED_SUFFIX}"


def is_compressed(topic: str) -> bool:
    """Whether a topic is one of compressed images."""
    return topic.endswith(f"/{COMPRESSED_SUFFIX}")


def raw_topic(topic: str) -> str:
    """The camera's own topic of a topic of either kind."""
    return topic.removesuffix(f"/{COMPRESSED_SUFFIX}")


def topics_of_text(text: str) -> tuple[str, ...]:
    """Topics of a text with commas between them, as launch arguments and command lines give them."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
