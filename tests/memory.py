"""How much memory work takes that is done step by step."""

import gc
import tracemalloc
from collections.abc import Iterable
from typing import Any


def peak_of(steps: Iterable[Any], *, every: int = 1) -> int:
    """Go through ``steps`` and return the most memory that was held, in bytes.

    Rows refer to each other, so what nobody needs any more waits for the collector: it is called
    after ``every`` so many steps, or it would be chance when it comes.
    """
    gc.collect()
    gc.freeze()  # what was there before is not looked at each time
    tracemalloc.start()
    try:
        for number, _step in enumerate(steps):
            if not number % every:
                gc.collect()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.unfreeze()
