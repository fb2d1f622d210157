"""An endpoint on this machine that speaks OpenAI's and Anthropic's protocols, in front of Puter."""

from puter.serve.app import KEY, create_app

__all__ = ["KEY", "create_app"]
