-- Sources of the previous credential that an operator has marked as moved, or as not coming back: an array of {address, user_agent,
-- instance, at, by}, in which user_agent and instance are separate. At most one element for each source, of which a secret has at most 201.
ALTER TABLE regenerations ADD marked_sources jsonb NOT NULL DEFAULT '[]';
