DROP TABLE refresh_tokens, influencer_profiles, users;
DROP TYPE user_status, user_role;
