DROP TABLE mails, notification_settings, user_devices, login_networks, email_codes;
DROP TRIGGER influencer_profiles_verified ON influencer_profiles;
DROP TRIGGER influencer_profiles_written ON influencer_profiles;
DROP TRIGGER users_rights_changed ON users;
DROP TRIGGER users_email_folded ON users;
DROP FUNCTION notify_profile_changed, notify_user_changed, fold_email;
DROP INDEX users_email_folded_key;
ALTER TABLE users
    DROP CONSTRAINT users_closed_status,
    DROP CONSTRAINT users_phone_e164,
    DROP COLUMN email_folded,
    DROP COLUMN email_verified_at,
    DROP COLUMN phone_number,
    DROP COLUMN closed_at;
