"""OpenAI's chat completions, of OpenAI itself and of Azure: the neutral form as it is."""

from __future__ import annotations

from puter.wire.dialects.base import Dialect


class OpenAIDialect(Dialect):
    """The vendor that the neutral form comes from; others do not know all its roles."""

    knows_developer = True


OPENAI = OpenAIDialect()
