-- Deviations that are accepted of this client in addition to those of KEYTURN_DIALECTS, by the names of that setting.
ALTER TABLE clients ADD COLUMN dialects text[] NOT NULL DEFAULT '{}';
