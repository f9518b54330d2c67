DROP TRIGGER users_closed_identities ON users;
DROP FUNCTION release_social_identities;
DROP TABLE social_login_states, social_identities;
-- The code before this one cannot know an account without an e-mail: such accounts get an address that no mail
-- can be sent to.
UPDATE users SET email = id::text || '@social.invalid' WHERE email IS NULL;
ALTER TABLE users ALTER COLUMN email SET NOT NULL;
ALTER TABLE users ALTER COLUMN email_folded SET NOT NULL;
CREATE OR REPLACE FUNCTION fold_email() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.email_folded IS NULL
        OR (TG_OP = 'UPDATE' AND NEW.email <> OLD.email AND NEW.email_folded = OLD.email_folded) THEN
        NEW.email_folded := lower(NEW.email);
    END IF;
    RETURN NEW;
END $$;
