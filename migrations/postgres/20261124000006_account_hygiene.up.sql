-- Mails with codes are counted by the address they go to, and what has ended is found by an index.

-- One row a mail with a code, kept for the hour that is counted. It names the address (SHA-256 of its folded form) and
-- no account: whoever closes an account and signs up again with the same address goes on where he was.
CREATE TABLE code_mails (
    address_hash bytea NOT NULL,
    purpose      varchar(20) NOT NULL,
    sent_at      timestamptz NOT NULL
);
CREATE INDEX code_mails_address_idx ON code_mails (address_hash, purpose, sent_at);
CREATE INDEX code_mails_age_idx ON code_mails (sent_at);
INSERT INTO code_mails (address_hash, purpose, sent_at)
SELECT sha256(convert_to(email_folded, 'UTF8')), purpose, created_at FROM email_codes
WHERE created_at > now() - interval '1 hour';

-- Sessions that ended lately, read with who an account is; few beside all tokens.
CREATE INDEX refresh_tokens_ended_idx ON refresh_tokens (user_id, revoked_at) INCLUDE (family_id)
    WHERE revoked_at IS NOT NULL;
-- Sessions that live, counted at each login: one token of each.
CREATE INDEX refresh_tokens_live_idx ON refresh_tokens (user_id, family_expires_at)
    WHERE revoked_at IS NULL AND rotated_at IS NULL;
-- For the clean-up.
CREATE INDEX login_networks_age_idx ON login_networks (last_seen_at);
