-- A stream's notification channel: its name, and who has one.
CREATE SCHEMA notify;
SET search_path = notify;
CREATE TABLE clicks (url text) USING streamq;
CREATE TABLE "Odd ""Name" (url text) USING streamq;
CREATE TABLE plain (url text);
CREATE VIEW clicks_view AS SELECT * FROM clicks;

-- the name works in LISTEN without quotes and stays when the stream is renamed
SELECT streamq.channel('clicks') ~ '^[a-z_][a-z0-9_]*$' AS unquoted,
       octet_length(streamq.channel('clicks')) < 64 AS short;
SELECT streamq.channel('clicks') AS channel \gset
LISTEN :channel;
SELECT pg_listening_channels() = :'channel' AS listening;
UNLISTEN :channel;
ALTER TABLE clicks RENAME TO hits;
SELECT streamq.channel('hits') = :'channel' AS same;
SELECT streamq.channel(relation => 'hits') = :'channel' AS named;
SELECT streamq.channel('"Odd ""Name"') <> :'channel' AS another;

-- nothing else has one
SELECT streamq.channel('plain');
SELECT streamq.channel('clicks_view');
SELECT streamq.channel('pg_catalog.pg_class');
SELECT streamq.channel('nowhere');
SELECT streamq.channel(NULL);
SELECT streamq.channel(1);

DROP VIEW clicks_view;
DROP TABLE hits, "Odd ""Name", plain;
DROP SCHEMA notify;
RESET search_path;
