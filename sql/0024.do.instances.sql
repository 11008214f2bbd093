-- A program may name its instance (client_instance or Keyturn-Instance). Each instance is a source of its own: its name is
-- in `user_agent`, after the user agent and the character U+001F, which neither of them can contain. A column of its own would have to
-- belong to the primary keys, by which processes of the previous version still write. At most 100 sources of a secret name an instance; the
-- oldest of more are merged into the row with the address '*'.
COMMENT ON COLUMN usage_sources.user_agent IS 'User-Agent header, or that header, U+001F and the name of the instance';
COMMENT ON COLUMN usage_source_hours.user_agent IS 'User-Agent header, or that header, U+001F and the name of the instance';
