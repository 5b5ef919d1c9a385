"""The revisions of the service's tables, both ways. An edge package: SQL, by Alembic.

A revision that was released is never changed: the tables of those who have it would differ from those of the others.
"""
