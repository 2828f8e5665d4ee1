"""Another model while the cluster runs: the service `~/set_model` of manager and workers.

A model's factory is Python code, and its arguments are the caller's: only models that the parameter
`switchable_models` allows are loaded, else those of the zoo with the zoo's own weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from rclpy.client import Client
from rclpy.node import Node

from coedge_ros.errors import UserError
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.graph.zoo.registry import DATA_SETS, zoo_names
from coedge_ros.nodes.membership import Member
from coedge_ros.nodes.model_parameters import MODEL_PARAMETERS, SET_MODEL, SWITCHABLE_MODELS, arguments_of
from coedge_ros.nodes.results import ResultMaker
from coedge_ros.srv import SetModel

MODEL_NAMES = tuple(parameter.name for parameter in MODEL_PARAMETERS)


def check_switch(request: SetModel.Request, allowed: tuple[str, ...]) -> dict[str, Any]:
    """Values of the model's parameters that a request asks for.

    Parameters
    ----------
    request : SetModel.Request
        From the network.
    allowed : tuple of str
        Value of `switchable_models`: names and patterns as `fnmatch` has them.

    Raises
    ------
    UserError
        When the model may not be switched to, or a value does not fit.
    """
    values = {p.name: p.check(getattr(request, p.name)) for p in MODEL_PARAMETERS}
    arguments_of(values["model_arguments"])
    if any(fnmatchcase(request.model, pattern) for pattern in allowed):
        return values
    cure = f"name it in the parameter {SWITCHABLE_MODELS.name} of manager and workers"
    if request.model not in zoo_names():
        raise UserError(f"{request.model!r} is no model of the zoo: {cure}")
    if allowed:
        raise UserError(f"{request.model!r} is none of {', '.join(allowed)}: {cure}")
    if values["weights"] not in ("", *DATA_SETS):
        raise UserError(f"weights {values['weights']!r} are not the zoo's own: {cure}")
    return values


def offer_switch(node: Node, values: dict[str, Any], load: Callable[[dict[str, Any]], bool]) -> None:
    """Make the service; `load(values)` begins to load a model by these parameters, and says whether it has room."""

    def answer(request: SetModel.Request, response: SetModel.Response) -> SetModel.Response:
        try:
            asked = check_switch(request, values[SWITCHABLE_MODELS.name])
            response.success = load(asked)
            response.message = f"loads {request.model}" if response.success else "too much to do: ask again"
        except UserError as error:
            response.success, response.message = False, str(error)
            node.get_logger().error(f"the model is not changed: {error}")
        return response

    node.create_service(SetModel, SET_MODEL, answer)


@dataclass(frozen=True, slots=True)
class LoadedChange:
    """A model that is loaded and not yet used, with the parameters that name it; `since_s` in monotonic seconds."""

    asked: dict[str, Any]
    results: ResultMaker
    model: PartitionedModel
    since_s: float

    @property
    def size(self) -> tuple[int, int]:
        """Input (H, W)."""
        return tuple(self.model.graph.input.shape[2:])


class ModelChange:
    """The manager's part: loads another model, then asks the workers for it.

    Parameters
    ----------
    node : Node
        The manager's control node; workers are in its namespace.
    load : callable
        Loads and partitions the model of the manager's parameters.
    """

    def __init__(self, node: Node, load: Callable[[dict[str, Any]], tuple[ResultMaker, PartitionedModel]]):
        self._node, self._load = node, load
        self._found: LoadedChange | None = None
        self._is_used = True
        self.lacking: frozenset[str] = frozenset()  # workers that do not have the model yet
        self._clients: dict[str, Client] = {}
        self._asked: set[tuple[str, int]] = set()

    def load(self, asked: dict[str, Any], values: dict[str, Any]) -> None:
        """Loader thread. What `load` raises changes nothing."""
        found = LoadedChange(asked, *self._load({**values, **asked}), time.monotonic())
        self._asked.clear()
        self._found, self._is_used = found, False

    def forget(self) -> None:
        """Loader thread: no change is under way any more."""
        self._found, self.lacking = None, frozenset()

    def look(self, members: dict[str, Member], now_s: float, limit_s: float) -> LoadedChange | None:
        """Ask workers that have another model; the change when it is time to use it, once. Executor thread.

        That is when all have the model, or `limit_s` after it was loaded. Workers that come later with the model that
        they were started with are asked too.
        """
        found = self._found
        if found is None:
            return None
        lacking = [
            m for m in members.values() if m.ready and (m.digest, m.size) != (found.model.graph.digest, found.size)
        ]
        self.lacking = frozenset(m.name for m in lacking)
        for member in lacking:
            self._ask(member, found)
        if self._is_used or (lacking and now_s - found.since_s < limit_s):
            return None
        self._is_used = True
        return found

    def _ask(self, member: Member, found: LoadedChange) -> None:
        name = member.name
        if (name, member.instance) in self._asked or not self.client(name).service_is_ready():
            return
        self._asked.add((name, member.instance))
        request = SetModel.Request(**{parameter: found.asked[parameter] for parameter in MODEL_NAMES})
        self.client(name).call_async(request).add_done_callback(lambda done: self._answered(name, done))

    def client(self, worker: str) -> Client:
        """The client of a worker's service, made once."""
        if worker not in self._clients:
            self._clients[worker] = self._node.create_client(SetModel, f"{worker}/set_model")
        return self._clients[worker]

    def _answered(self, name: str, future) -> None:
        response = future.result()
        if response is not None and not response.success:
            self._node.get_logger().error(f"worker {name} does not change its model: {response.message}")
