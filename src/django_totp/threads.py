"""Where async code has synchronous code run: as Django does it, and with no secret in a report."""

from collections.abc import Callable
from typing import TypeVar

from asgiref.sync import sync_to_async
from django.views.decorators.debug import sensitive_variables

T = TypeVar("T")


@sensitive_variables()
async def run(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises, in the thread of the ORM.

    It takes no arguments: the frames of asgiref would show them in an error report, and so would
    its own if it were not hidden.
    """
    return await sync_to_async(sensitive_variables()(call))()
