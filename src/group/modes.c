/*
 * modes.c
 *	  The modes of consumer groups.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "group/mode.h"
#include "group/ordered.h"
#include "group/shared_mode.h"

const GroupMode *const group_modes[] = {
	&group_ordered_mode,
	&group_shared_mode,
	&group_key_shared_mode,
	NULL
};

const GroupMode *
group_mode_find(const char *name)
{
	for (int i = 0; group_modes[i] != NULL; i++)
		if (strcmp(group_modes[i]->name, name) == 0)
			return group_modes[i];
	return NULL;
}

char *
group_mode_list(void)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; group_modes[i] != NULL; i++)
	{
		if (i > 0)
			appendStringInfoString(&buf, group_modes[i + 1] != NULL ? ", " : " or ");
		appendStringInfo(&buf, "\"%s\"", group_modes[i]->name);
	}
	return buf.data;
}
