DROP TRIGGER IF EXISTS users_closed_identities ON users;
DROP FUNCTION IF EXISTS release_social_identities;
DROP TABLE social_login_states, social_identities;
-- The code before this one cannot know an account without an e-mail: such accounts get an address that no mail
-- can be sent to.
UPDATE users SET email = id::text || '@social.invalid' WHERE email IS NULL;
ALTER TABLE users ALTER COLUMN email SET NOT NULL;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_attribute
               WHERE attrelid = 'users'::regclass AND attname = 'email_folded' AND NOT attisdropped) THEN
        ALTER TABLE users ALTER COLUMN email_folded SET NOT NULL;
    ELSE
        -- nobody else's column then
        ALTER TABLE users DROP COLUMN email_verified_at;
    END IF;
END $$;
