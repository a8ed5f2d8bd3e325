"""Alembic's environment: migrations run on the connection that the caller hands over, in the caller's transaction."""

from alembic import context

from sekisho.mailboxes.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
