"""Faults for `LocalPuter.inject` and `MockTransport`: what can go wrong with a request.

Each function here makes a value that says what goes wrong: ``faults.reset()``,
``faults.status(503)``. `KINDS` has one of each kind by name, and ``sometimes`` is any of them by
chance.

Examples:
    >>> from puter.testing import faults
    >>> faults.KINDS["lost_answer"].ran  # carried out, and billed, before it goes wrong
    True
"""

from puter.testing.faults.fault import KINDS as KINDS
from puter.testing.faults.fault import Fault as Fault
from puter.testing.faults.fault import HttpAnswer as HttpAnswer
from puter.testing.faults.fault import NamedFault as NamedFault
from puter.testing.faults.kinds import *  # noqa: F403 - each is named in one place, there
from puter.testing.faults.plan import OPERATIONS as OPERATIONS
from puter.testing.faults.plan import Plan as Plan
from puter.testing.faults.plan import Sometimes as Sometimes
from puter.testing.faults.plan import sometimes as sometimes
