"""Durable records. Today: files that are written whole or not at all, and locks between processes."""

from quantdesk.records.files import atomic_directory, atomic_write, exclusive, sha256_of

__all__ = ["atomic_directory", "atomic_write", "exclusive", "sha256_of"]
