"""An endpoint on this machine that speaks OpenAI's and Anthropic's protocols, in front of Puter."""

from puter.serve.app import KEY, LOOPBACK, create_app
from puter.wire.json import MAX_BODY

__all__ = ["KEY", "LOOPBACK", "MAX_BODY", "create_app"]
