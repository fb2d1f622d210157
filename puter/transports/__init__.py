"""Carrying requests out: over requests, over aiohttp, or in memory."""
