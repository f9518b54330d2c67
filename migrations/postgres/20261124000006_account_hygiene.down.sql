DROP INDEX login_networks_age_idx;
DROP INDEX refresh_tokens_live_idx;
DROP INDEX refresh_tokens_ended_idx;
DROP TABLE code_mails;
