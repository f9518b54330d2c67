DROP TRIGGER users_status_changed ON users;
DROP TABLE gonggu_categories, gonggus, categories;
DROP FUNCTION notify_owner_changed, notify_link_changed, gonggu_status_at;
DROP TYPE gonggu_status;
