"""Puter's dialect: building requests and reading answers. Everything here is pure."""
