"""Tools of Model Context Protocol servers, for ``tools=`` of a chat."""

from puter.mcp.tools import McpError, McpTools

__all__ = ["McpError", "McpTools"]
