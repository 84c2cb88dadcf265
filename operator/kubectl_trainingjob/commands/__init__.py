"""Subcommands: each reads its options, calls kubectl or AWS, and shows a view."""
