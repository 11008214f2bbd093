ALTER TABLE clients ADD certificate_subject jsonb;                               -- whom its certificate names: {field, value} (RFC 8705 §2.1.2)
ALTER TABLE clients ADD certificate_bound_tokens boolean NOT NULL DEFAULT false; -- whether its tokens are bound to its certificate (RFC 8705 §3)
ALTER TABLE clients ADD dpop_bound_tokens boolean NOT NULL DEFAULT false;        -- whether it gets none without a DPoP proof (RFC 9449 §5.2)
