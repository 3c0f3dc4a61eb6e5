"""What support needs to know: who a user is, how an enrollment stands, how far adoption goes.

No secret is read here; a code only where nothing else says whether it can be used.
"""

from .accounts import AccountStatus, NotExempt, account_status_of, end_exemption, exempt
from .codes import CodeCount, count_codes
from .duty import Duty, WordUnanswered, duties
from .numbers import FEW_CODES, Adoption, adoption, count_at_most
from .people import (
    UserNotFound,
    current_users,
    find_user,
    refusal,
    search_fields,
    search_users,
    users_by_key,
)
from .states import (
    State,
    Status,
    act_upon,
    enrollment_of,
    identity_of,
    in_state,
    is_capped,
    recovery_ready_at,
    refused_until,
    state_of,
    status_of,
    waiting_until,
)

__all__ = [
    "FEW_CODES",
    "AccountStatus",
    "Adoption",
    "CodeCount",
    "Duty",
    "NotExempt",
    "State",
    "Status",
    "UserNotFound",
    "WordUnanswered",
    "account_status_of",
    "act_upon",
    "adoption",
    "count_at_most",
    "count_codes",
    "current_users",
    "duties",
    "end_exemption",
    "enrollment_of",
    "exempt",
    "find_user",
    "identity_of",
    "in_state",
    "is_capped",
    "recovery_ready_at",
    "refusal",
    "refused_until",
    "search_fields",
    "search_users",
    "state_of",
    "status_of",
    "users_by_key",
    "waiting_until",
]
