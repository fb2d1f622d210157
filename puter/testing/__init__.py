"""Test against Puter without Puter: `LocalPuter`, an embedded server.

Names are imported when first used: the pytest plugin in this package must be quick to load.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from puter.testing import faults as faults
    from puter.testing.accounts import User as User
    from puter.testing.cassette import Cassette as Cassette
    from puter.testing.chat_call import ChatCall as ChatCall
    from puter.testing.gate import Gate as Gate
    from puter.testing.journal import RecordedRequest as RecordedRequest
    from puter.testing.limits import Tier as Tier
    from puter.testing.media_call import AudioBody as AudioBody
    from puter.testing.media_call import MediaCall as MediaCall
    from puter.testing.media_files import MediaInput as MediaInput
    from puter.testing.replies import *  # noqa: F403 - each is named in one place, there
    from puter.testing.server import LocalPuter as LocalPuter
    from puter.testing.tape import UnrecordedRequest as UnrecordedRequest
    from puter.transports.mock import MockReply as MockReply
    from puter.transports.mock import MockRequest as MockRequest
    from puter.transports.mock import MockTransport as MockTransport

_MODULES = {
    "puter.testing.accounts": ("User",),
    "puter.testing.cassette": ("Cassette",),
    "puter.testing.chat_call": ("ChatCall",),
    "puter.testing.gate": ("Gate",),
    "puter.testing.journal": ("RecordedRequest",),
    "puter.testing.limits": ("Tier",),
    "puter.testing.media_call": ("AudioBody", "MediaCall"),
    "puter.testing.media_files": ("MediaInput",),
    "puter.testing.server": ("LocalPuter",),
    "puter.testing.tape": ("UnrecordedRequest",),
    "puter.transports.mock": ("MockReply", "MockRequest", "MockTransport"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # a type checker shall refuse names that are not above

    def __getattr__(name: str) -> Any:
        unknown = AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "faults":
            return importlib.import_module("puter.testing.faults")
        if name != "__all__" and not name[0].isupper():  # a module of this package, perhaps
            raise unknown
        module = importlib.import_module(_MODULE_OF.get(name, "puter.testing.replies"))
        if name == "__all__":
            value = sorted([*_MODULE_OF, *module.__all__])
        elif name in _MODULE_OF or name in module.__all__:
            value = getattr(module, name)
        else:
            raise unknown
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__getattr__("__all__")})
