"""Reads the answers of a coedge_ros cluster and says whether the robot must stop."""

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Bool

from coedge_ros.msg import InferenceResult


class StopNode(Node):
    """Publishes `stop` (std_msgs/Bool, such as a lock of twist_mux) for every answer with a class.

    Topics are relative: the node runs in the namespace of the cluster.
    """

    def __init__(self, **options):
        super().__init__("stop_node", **options)
        self.declare_parameter("labels", ["person"])  # labels, or numbers of classes where the model names none
        self.declare_parameter("min_probability", 0.5)
        self.publisher = self.create_publisher(Bool, "stop", 10)
        self.create_subscription(InferenceResult, "result", self.on_result, 10)  # reliable, as the manager publishes

    def on_result(self, result: InferenceResult) -> None:
        """Decide on one answer; one without classes (a mask, a map) is not ours."""
        if not result.classes:
            return
        best = result.classes[0]
        label = best.label or str(best.id)
        is_sure = best.probability >= self.get_parameter("min_probability").value
        must_stop = is_sure and label in self.get_parameter("labels").value
        if must_stop:
            who = "manager alone" if result.fallback else ", ".join(w.name for w in result.workers)
            self.get_logger().info(f"stop: {label} {best.probability:.2f}, {result.latency_ms:.0f} ms, by {who}")
        self.publisher.publish(Bool(data=must_stop))


def main(args: list[str] | None = None) -> None:
    """Run until Ctrl-C."""
    rclpy.init(args=args)
    executor = SingleThreadedExecutor()
    executor.add_node(StopNode())
    try:
        while rclpy.ok():
            executor.spin_once(timeout_sec=1.0)  # rclpy misses a signal now and then that comes just before it waits
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
