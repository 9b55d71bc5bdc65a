"""What a component of a cluster calls itself: the address at which the API server finds its logs."""

import os


def address() -> str:
    """Return the address of the place where this runs."""
    return os.environ["CLUSTER_ADDRESS"]
