-- When this database was last found to be a promoted or restored one, which may lack the newest records of used assertions. Assertions and
-- DPoP proofs that were issued before are rejected. Null: that never happened.
ALTER TABLE database_check ADD assertions_lost_at timestamptz;
