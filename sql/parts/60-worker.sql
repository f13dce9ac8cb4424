-- Notifications.

CREATE FUNCTION streamq.channel(relation pg_catalog.regclass) RETURNS pg_catalog.text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'streamq_channel';
COMMENT ON FUNCTION streamq.channel(pg_catalog.regclass) IS
'name of the notification channel of a stream or continuous view, for LISTEN';
