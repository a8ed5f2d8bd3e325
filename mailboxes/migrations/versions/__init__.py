"""One file a schema version, named for its number."""
