"""Work in a process of its own, whose memory and processor time are nobody else's."""

import multiprocessing
from collections.abc import Callable
from typing import Any


def in_a_process(target: Callable[..., None], *args: Any) -> Any:
    """Return what ``target`` sends through the pipe that is its last argument."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=target, args=(*args, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()
