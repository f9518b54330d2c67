-- Social sign-in: identities of accounts, and sign-ins under way.

-- An account of somebody whose provider proved no e-mail has none: a made-up one would be mailed to, and an
-- unproved one would let its real owner reset the password of an account that a stranger signs in to.
ALTER TABLE users ALTER COLUMN email DROP NOT NULL;

CREATE TABLE social_identities (
    provider     varchar(20) NOT NULL CHECK (provider IN ('kakao', 'naver', 'google', 'apple')),
    subject      varchar(255) NOT NULL,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- as the provider said last; an attribute, never a key
    email        varchar(255),
    linked_at    timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (provider, subject),
    -- one of each provider: whoever comes to an account by a second one has a recycled address, not a claim
    CONSTRAINT social_identities_user_key UNIQUE (user_id, provider)
);
-- users.social_provider and social_id name the first identity.
INSERT INTO social_identities (provider, subject, user_id, linked_at, last_used_at)
SELECT social_provider, social_id, id, created_at, created_at FROM users
WHERE social_provider IN ('kakao', 'naver', 'google', 'apple');

-- All secrets hashed (SHA-256 of 256 random bits).
CREATE TABLE social_login_states (
    state_hash          bytea PRIMARY KEY,
    provider            varchar(20) NOT NULL,
    browser_hash        bytea NOT NULL,
    return_to           text NOT NULL,
    expires_at          timestamptz NOT NULL,
    -- Apple posts its code across sites, without the cookie: kept here until the browser brings the code that
    -- it was handed instead
    handover_hash       bytea,
    handover_expires_at timestamptz,
    provider_code       text,
    person_name         varchar(50)
);
CREATE INDEX social_login_states_expiry_idx ON social_login_states (expires_at);

ALTER TABLE users ALTER COLUMN email_folded DROP NOT NULL;
CREATE OR REPLACE FUNCTION fold_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.email IS NULL THEN
        NEW.email_folded := NULL;
    ELSIF NEW.email_folded IS NULL
        OR (TG_OP = 'UPDATE' AND NEW.email IS DISTINCT FROM OLD.email AND NEW.email_folded = OLD.email_folded) THEN
        NEW.email_folded := lower(NEW.email);
    END IF;
    RETURN NEW;
END $$;
-- A closed account gives its identities back: the same person may sign up anew.
CREATE FUNCTION release_social_identities() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM social_identities WHERE user_id = NEW.id;
    NEW.social_provider := NULL;
    NEW.social_id := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER users_closed_identities BEFORE UPDATE OF closed_at ON users
    FOR EACH ROW WHEN (OLD.closed_at IS NULL AND NEW.closed_at IS NOT NULL)
    EXECUTE FUNCTION release_social_identities();
