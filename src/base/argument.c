/*
 * argument.c
 *	  Checks and conversions of arguments of SQL functions.
 */
#include "postgres.h"

#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "base/argument.h"

/*
 * PostgreSQL's functions that split a list truncate names silently, while the
 * parser raises a NOTICE.  This function adds the NOTICE.  Syntax errors are
 * left to the functions that split.
 */
void
base_note_truncation(const char *list, char separator)
{
	const char *c = list;

	while (*c != '\0')
	{
		char	   *name = palloc(strlen(c) + 1);
		int			len = 0;

		while (scanner_isspace(*c))
			c++;
		if (*c == '"')
		{
			for (c++; *c != '\0' && (*c != '"' || c[1] == '"'); c++)
			{
				if (*c == '"')
					c++;
				name[len++] = *c;
			}
			while (*c != '\0' && *c != separator)
				c++;
		}
		else
		{
			const char *start = c;

			while (*c != '\0' && *c != separator && !scanner_isspace(*c))
				c++;
			len = (int) (c - start);
			memcpy(name, start, len);
			name[len] = '\0';
			strcpy(name, downcase_identifier(name, len, false, false));
			while (*c != '\0' && *c != separator)
				c++;
		}
		name[len] = '\0';
		truncate_identifier(name, len, true);
		pfree(name);
		if (*c != '\0')
			c++;
	}
}

List *
base_qualified_name(const char *name)
{
	List	   *names = textToQualifiedNameList(cstring_to_text(name));

	base_note_truncation(name, '.');
	return names;
}

void
base_null_argument(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", name),
			 errhint("Only arguments whose default is NULL may be null.")));
}
