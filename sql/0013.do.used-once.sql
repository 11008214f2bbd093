-- A DPoP proof is good once, whichever client sends it: its id is unique over all clients. Ids of client assertions contain the Client ID.
LOCK TABLE used_assertions IN SHARE ROW EXCLUSIVE MODE;
DELETE FROM used_assertions a USING used_assertions b WHERE a.id = b.id AND a.client > b.client;
CREATE UNIQUE INDEX used_assertions_id ON used_assertions (id);
