"""Who may publish, subscribe, reply and request what: the least that a cluster's nodes need, as SROS2 writes it.

Pure Python without rclpy. A test starts the real nodes and compares: all that they use is allowed, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from coedge_ros.nodes import topics
from coedge_ros.nodes.camera_topics import camera_topics, raw_topic
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE, MANAGER, check_worker_name, fragments_topic, link_probes_topic
from coedge_ros.spec.cluster import ClusterSpec

POLICY_VERSION = "0.2.0"  # of the SROS2 schema
MANAGER_NODE, VISUALIZER_NODE, CAMERA_NODE = "partition_manager", "load_visualizer", "camera"
EVENTS, LOG = "/parameter_events", "/rosout"
# What rclpy gives to every node that has parameter services.
NODE_SERVICES = tuple(
    f"~/{name}"
    for name in (
        "describe_parameters", "get_parameter_types", "get_parameters", "get_type_description", "list_parameters",
        "set_parameters", "set_parameters_atomically",
    )
)  # fmt: skip
# What rclpy gives to managed nodes besides.
MANAGED_SERVICES = tuple(
    f"~/{name}"
    for name in (
        "change_state",
        "get_available_states",
        "get_available_transitions",
        "get_state",
        "get_transition_graph",
    )
)
TRANSITIONS = "~/transition_event"


@dataclass(frozen=True, slots=True)
class NodeAccess:
    """What one node may do; names absolute, relative to the namespace, or with `~` for the node's own.

    Attributes
    ----------
    publish, subscribe : tuple of str
        Topics.
    reply : tuple of str
        Services that it offers.
    request : tuple of str
        Services that it calls.
    """

    node: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnclaveAccess:
    """What one process may do. DDS knows processes only: the permissions are those of its nodes together."""

    path: str
    namespace: str
    nodes: tuple[NodeAccess, ...]


def enclave_path(prefix: str, node: str) -> str:
    """Enclave of the process whose control node is `node`: `/coedge/worker_1` for the prefix `coedge`."""
    return "/" + "/".join(part for part in (*prefix.split("/"), node) if part)


def cluster_access(
    cluster: ClusterSpec,
    namespace: str = DEFAULT_NAMESPACE,
    image_topic: str | Sequence[str] = topics.IMAGE,
    prefix: str | None = None,
    also_subscribe: Iterable[str] = (),
    image_transport: str = "raw",
) -> tuple[EnclaveAccess, ...]:
    """What each process of a cluster needs, workers first.

    Parameters
    ----------
    cluster : ClusterSpec
        Names and hosts of the workers.
    namespace : str
        Of all nodes.
    image_topic : str, or sequence of str
        Of the camera, or of several, relative to the namespace or absolute. Our camera node has the first.
    prefix : str, optional
        Of the enclaves; the namespace when None.
    also_subscribe : iterable of str
        Topics that all control nodes may read as well: `/clock` for simulated time, a battery's topic.
    image_transport : str
        How images come, `raw` or `compressed`.

    Raises
    ------
    UserError
        For a worker whose name cannot be part of a topic.
    """
    namespace = "/" + namespace.strip("/")
    hosts = {worker.name: worker.host for worker in cluster.workers}
    for name in hosts:
        check_worker_name(name)
    hosts[MANAGER] = cluster.manager_host
    more = tuple(also_subscribe)
    names = [image_topic] if isinstance(image_topic, str) else image_topic
    images = camera_topics(names, image_transport)
    sent = tuple(dict.fromkeys((raw_topic(images[0]), images[0])))  # our camera publishes raw images in any case
    camera = NodeAccess(CAMERA_NODE, (topics.FRAME_NAME, *sent, EVENTS, LOG), more, NODE_SERVICES)
    found = [*(_worker(name, hosts, more) for name in hosts if name != MANAGER)]
    found += [_manager(hosts, images, more), (_visualizer(images, more),), (camera,)]
    start = namespace if prefix is None else prefix
    return tuple(EnclaveAccess(enclave_path(start, nodes[0].node), namespace, nodes) for nodes in found)


def _probes_to(name: str, hosts: dict[str, str]) -> tuple[str, ...]:
    """Links are measured between hosts only."""
    return tuple(link_probes_topic(peer) for peer, host in hosts.items() if host != hosts[name])


def _data_node(name: str, hosts: dict[str, str], publish=(), subscribe=()) -> NodeAccess:
    """Node that carries a participant's fragments: it writes to each other one, and reads its own topic only."""
    out = tuple(fragments_topic(peer) for peer in hosts if peer != name)
    requests = (topics.FRAGMENT_REQUESTS,)
    return NodeAccess(
        f"{name}_data",
        (*out, *requests, *publish, EVENTS),
        (fragments_topic(name), *requests, *subscribe),
        ("~/get_type_description",),
    )


def _worker(name: str, hosts: dict[str, str], more: tuple[str, ...]) -> tuple[NodeAccess, ...]:
    control = NodeAccess(
        name,
        (topics.WORKER_STATUS, topics.LINK_REPORTS, *_probes_to(name, hosts), TRANSITIONS, EVENTS, LOG),
        (topics.PARTITION_PLAN, topics.WORKER_STATUS, link_probes_topic(name), *more),
        ("~/set_model", *MANAGED_SERVICES, *NODE_SERVICES),
    )
    return control, _data_node(name, hosts)


def _manager(hosts: dict[str, str], images: tuple[str, ...], more: tuple[str, ...]) -> tuple[NodeAccess, ...]:
    control = NodeAccess(
        MANAGER_NODE,
        (
            topics.PARTITION_PLAN,
            topics.MANAGER_STATUS,
            topics.DIAGNOSTICS,
            topics.LINK_REPORTS,
            *_probes_to(MANAGER, hosts),
            TRANSITIONS,
            EVENTS,
            LOG,
        ),
        (topics.WORKER_STATUS, link_probes_topic(MANAGER), topics.LINK_REPORTS, *more),
        ("~/clear_self_check", "~/enable", "~/set_model", *MANAGED_SERVICES, *NODE_SERVICES),
        tuple(f"{name}/set_model" for name in hosts if name != MANAGER),
    )
    # Published by the data node under the manager's name. vision_msgs may be installed there or not.
    others = (topics.CLASSIFICATION, topics.DETECTIONS, topics.LABELS, topics.OVERLAY)
    answers = (topics.RESULT, *(other.replace("~", MANAGER_NODE, 1) for other in others))
    return control, _data_node(MANAGER, hosts, answers, images)


def _visualizer(images: tuple[str, ...], more: tuple[str, ...]) -> NodeAccess:
    return NodeAccess(
        VISUALIZER_NODE,
        (topics.LOAD_MARKERS, topics.ANNOTATED_IMAGE, topics.DIAGNOSTICS, EVENTS, LOG),
        (
            topics.WORKER_STATUS,
            topics.MANAGER_STATUS,
            topics.PARTITION_PLAN,
            topics.FRAME_NAME,
            *images,
            topics.RESULT,
            *more,
        ),
        NODE_SERVICES,
    )


def absolute(name: str, namespace: str, node: str) -> str:
    """Name with the namespace in front; `~` stands for the node itself, as in SROS2."""
    start = namespace.rstrip("/")
    if name.startswith("~"):
        return f"{start}/{node}{name[1:]}"
    return name if name.startswith("/") else f"{start}/{name}"


def policy_xml(enclaves: Iterable[EnclaveAccess]) -> str:
    """Policy in the SROS2 schema 0.2.0, for `ros2 security generate_artifacts -p`; names sorted."""
    policy = ElementTree.Element("policy", version=POLICY_VERSION)
    listing = ElementTree.SubElement(policy, "enclaves")
    for enclave in enclaves:
        profiles = ElementTree.SubElement(ElementTree.SubElement(listing, "enclave", path=enclave.path), "profiles")
        for access in enclave.nodes:
            profile = ElementTree.SubElement(profiles, "profile", ns=enclave.namespace, node=access.node)
            for kind, action, names in (
                ("topic", "publish", access.publish),
                ("topic", "subscribe", access.subscribe),
                ("service", "reply", access.reply),
                ("service", "request", access.request),
            ):
                if names:
                    rule = ElementTree.SubElement(profile, f"{kind}s", {action: "ALLOW"})
                    for name in sorted(names):
                        ElementTree.SubElement(rule, kind).text = name
    return _text(policy)


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
