-- The tokens that each source holds, as evidence that it has moved to a new credential or not. Several tokens that end in the same minute are
-- one element or one count: a program that keeps no token asks for several at once.
ALTER TABLE usage_sources
  ADD token_ends   timestamptz[] NOT NULL DEFAULT '{}', -- when its tokens end, rounded up to the minute; at most the 60 latest
  ADD tokens_epoch integer NOT NULL DEFAULT 0,          -- the owner's token_epoch when they were issued
  ADD held         smallint NOT NULL DEFAULT 0,         -- the most tokens that it held at a time in about 30 days
  ADD held_at      timestamptz,                         -- when it held so many
  ADD obtained     bigint NOT NULL DEFAULT 0;           -- how many tokens it got with this credential
