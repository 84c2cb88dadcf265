"""Renderables for rich; the terminal is the caller's."""
