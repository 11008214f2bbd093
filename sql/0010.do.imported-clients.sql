-- Client IDs that came with an import. Where there are none, what is no Client ID of ours is refused without a look-up.
CREATE INDEX client_ids_foreign ON client_ids (client_id) WHERE client_id NOT LIKE 'kti\_%';
