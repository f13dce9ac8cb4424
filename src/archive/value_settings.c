/*
 * value_settings.c
 *	  Settings under which values are written to files and read from them.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/guc.h"

#include "archive/value_settings.h"

const char *
archive_encoding(void)
{
	/* nobody knows the encoding of text in such a database */
	return GetDatabaseEncoding() == PG_SQL_ASCII ? "SQL_ASCII" : "UTF8";
}

int
archive_set_settings(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"bytea_output", "hex"},
		{"extra_float_digits", "1"},
		{"lc_monetary", "C"},
		{"xmlbinary", "base64"},
		{"xmloption", "content"},
	};
	int			result = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	/* the binary form of text is in the encoding of the client */
	if (strcmp(pg_get_client_encoding_name(), archive_encoding()) != 0)
		(void) set_config_option("client_encoding", archive_encoding(), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return result;
}
