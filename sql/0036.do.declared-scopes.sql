ALTER TABLE clients
  -- Resource server: the scopes that it names itself, beside those of its kinds of information. [{"id", "name", "description",
  -- "aliases": [], "information", "action", "sensitive", "since": {name or alias: milliseconds since the epoch}}]. Tokens that
  -- were issued before "since" do not have the scope under that name. Declared scopes with the same "id" are one permission.
  ADD COLUMN scopes jsonb NOT NULL DEFAULT '[]';
