"""The cluster policy of the tests with agents: each of the Dag's two tasks has a queue, and so an agent, of its own."""

from typing import Any

QUEUES = {"push_objects": "first", "pull_objects": "second"}


def task_policy(task: Any) -> None:
    """Give a task its queue, when the Dag is read."""
    task.queue = QUEUES.get(task.task_id, task.queue)
