-- The same rows in four tables, whose changes nobody, a capture, a trigger in
-- PL/pgSQL, or PgQ follows.
CREATE TABLE bench_followed_alone (id int PRIMARY KEY, customer int, item text, amount numeric, at timestamptz);
CREATE TABLE bench_followed_capture (LIKE bench_followed_alone INCLUDING ALL);
CREATE TABLE bench_followed_plpgsql (LIKE bench_followed_alone INCLUDING ALL);
CREATE TABLE bench_followed_pgq (LIKE bench_followed_alone INCLUDING ALL);
SELECT streamq.create_stream('bench_changes');
SELECT streamq.create_stream('bench_changes_plpgsql');
SELECT streamq.capture('bench_followed_capture', 'bench_changes');

CREATE FUNCTION bench_note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bench_changes_plpgsql (key, payload)
	VALUES (NEW.id, jsonb_build_object('op', lower(TG_OP), 'before', CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END,
		'after', to_jsonb(NEW), 'source', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, 'txid', pg_current_xact_id()::text::bigint, 'at', now()));
	RETURN NULL;
END $$;
CREATE TRIGGER bench_note_change AFTER INSERT OR UPDATE ON bench_followed_plpgsql
FOR EACH ROW EXECUTE FUNCTION bench_note_change();

SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgq') AS has_pgq \gset
\if :has_pgq
CREATE EXTENSION IF NOT EXISTS pgq;
SELECT pgq.create_queue('bench_changes');
CREATE TRIGGER bench_pgq AFTER INSERT OR UPDATE ON bench_followed_pgq
FOR EACH ROW EXECUTE FUNCTION pgq.logutriga('bench_changes');
\endif
