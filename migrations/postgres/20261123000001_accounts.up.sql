-- Accounts (requirement document 3.1, 3.2).
CREATE TYPE user_role AS ENUM ('buyer', 'influencer', 'admin');
CREATE TYPE user_status AS ENUM ('active', 'suspended', 'pending');

CREATE TABLE users (
    id              uuid PRIMARY KEY,
    -- as the person typed it, NFC; looked up by its lower case
    email           varchar(255) NOT NULL,
    password_hash   varchar(255),
    nickname        varchar(50) NOT NULL,
    role            user_role NOT NULL DEFAULT 'buyer',
    status          user_status NOT NULL DEFAULT 'active',
    social_provider varchar(20),
    social_id       varchar(255),
    profile_image   varchar(500),
    -- raised when rights are taken away: older access tokens end at once
    token_version   integer NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_social_pair CHECK ((social_provider IS NULL) = (social_id IS NULL))
);
CREATE UNIQUE INDEX users_email_key ON users (lower(email));
CREATE UNIQUE INDEX users_social_key ON users (social_provider, social_id) WHERE social_id IS NOT NULL;

CREATE TABLE influencer_profiles (
    id               uuid PRIMARY KEY,
    user_id          uuid NOT NULL UNIQUE REFERENCES users (id),
    bio              text NOT NULL DEFAULT '',
    banner_image     varchar(500),
    instagram_url    varchar(500),
    tiktok_url       varchar(500),
    is_verified      boolean NOT NULL DEFAULT false,
    subscriber_count integer NOT NULL DEFAULT 0 CHECK (subscriber_count >= 0)
);

-- Refresh tokens, hashed (SHA-256); one family a login.
CREATE TABLE refresh_tokens (
    token_hash  bytea PRIMARY KEY,
    family_id   uuid NOT NULL,
    user_id     uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    issued_at   timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    -- 30 days from the login, whatever is rotated
    family_expires_at timestamptz NOT NULL,
    rotated_at  timestamptz,
    revoked_at  timestamptz
);
CREATE INDEX refresh_tokens_family_idx ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_user_idx ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_expiry_idx ON refresh_tokens (expires_at);
