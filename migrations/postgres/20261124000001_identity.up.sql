-- Accounts, whole: verified e-mail, profile, closing, codes by e-mail, devices, consents, outgoing mail.
ALTER TABLE users
    -- What makes two addresses one: case-folded by the application, since lower() knows no more than the
    -- database's locale does (none but ASCII in "C"). Rows that come without it get the nearest that SQL has.
    ADD COLUMN email_folded      text,
    ADD COLUMN email_verified_at timestamptz,
    -- E.164
    ADD COLUMN phone_number      varchar(16),
    -- Closed by its owner: nobody's any more, but clicks and money keep naming it.
    ADD COLUMN closed_at         timestamptz;
UPDATE users SET email_folded = lower(email);
ALTER TABLE users
    ALTER COLUMN email_folded SET NOT NULL,
    -- Whatever asks for the status alone must not meet a closed account as one in use.
    ADD CONSTRAINT users_closed_status CHECK (closed_at IS NULL OR status = 'suspended'),
    ADD CONSTRAINT users_phone_e164 CHECK (phone_number ~ '^\+[1-9][0-9]{6,14}$');
CREATE UNIQUE INDEX users_email_folded_key ON users (email_folded);

CREATE FUNCTION fold_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.email_folded IS NULL
        OR (TG_OP = 'UPDATE' AND NEW.email <> OLD.email AND NEW.email_folded = OLD.email_folded) THEN
        NEW.email_folded := lower(NEW.email);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER users_email_folded BEFORE INSERT OR UPDATE OF email, email_folded ON users
    FOR EACH ROW EXECUTE FUNCTION fold_email();

-- Every change of what a permission depends on tells all processes to forget what they know of the account.
CREATE FUNCTION notify_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('users_changed', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER users_rights_changed AFTER UPDATE ON users
    FOR EACH ROW WHEN ((OLD.token_version, OLD.role, OLD.status, OLD.closed_at)
        IS DISTINCT FROM (NEW.token_version, NEW.role, NEW.status, NEW.closed_at))
    EXECUTE FUNCTION notify_user_changed();

CREATE FUNCTION notify_profile_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('users_changed', COALESCE(NEW.user_id, OLD.user_id)::text);
    RETURN NULL;
END $$;
CREATE TRIGGER influencer_profiles_written AFTER INSERT OR DELETE ON influencer_profiles
    FOR EACH ROW EXECUTE FUNCTION notify_profile_changed();
CREATE TRIGGER influencer_profiles_verified AFTER UPDATE ON influencer_profiles
    FOR EACH ROW WHEN (OLD.is_verified IS DISTINCT FROM NEW.is_verified)
    EXECUTE FUNCTION notify_profile_changed();

-- Single-use codes sent by e-mail, hashed (SHA-256 of 256 random bits). Bound to the address they went to:
-- one that changes meanwhile is not verified by the other's code.
CREATE TABLE email_codes (
    code_hash    bytea PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose      varchar(20) NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
    email_folded text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);
CREATE INDEX email_codes_user_idx ON email_codes (user_id, purpose, created_at);
CREATE INDEX email_codes_expiry_idx ON email_codes (expires_at);

-- Networks (keyed hash) from which an account has signed in: they pass when strangers have used up what may
-- be tried on it.
CREATE TABLE login_networks (
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network_hash bytea NOT NULL,
    last_seen_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, network_hash)
);

-- Push tokens: each belongs to the account that registered it last.
CREATE TABLE user_devices (
    token        varchar(1024) PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    platform     varchar(10) NOT NULL CHECK (platform IN ('android', 'ios', 'web')),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL
);
CREATE INDEX user_devices_user_idx ON user_devices (user_id, last_seen_at);

-- What somebody wants to hear, by channel and purpose. No row: the default (service yes, advertising no).
CREATE TABLE notification_settings (
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    channel      varchar(10) NOT NULL CHECK (channel IN ('push', 'alimtalk', 'email')),
    purpose      varchar(10) NOT NULL CHECK (purpose IN ('service', 'ad', 'ad_night')),
    enabled      boolean NOT NULL,
    -- the evidence: since when this is so, and for a consent when it was given
    changed_at   timestamptz NOT NULL,
    consented_at timestamptz,
    PRIMARY KEY (user_id, channel, purpose)
);

-- Outgoing mail, written in the transaction that wants it sent.
CREATE TABLE mails (
    -- makes the Message-ID: the same at every try
    id           uuid PRIMARY KEY,
    recipient    varchar(320) NOT NULL,
    subject      text NOT NULL,
    -- both emptied once sent or given up: they may hold a code
    text_body    text NOT NULL,
    html_body    text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    next_try_at  timestamptz NOT NULL DEFAULT now(),
    tries        integer NOT NULL DEFAULT 0,
    sent_at      timestamptz,
    failed_at    timestamptz,
    last_problem text
);
CREATE INDEX mails_due_idx ON mails (next_try_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX mails_ended_idx ON mails (COALESCE(sent_at, failed_at)) WHERE sent_at IS NOT NULL OR failed_at IS NOT NULL;
