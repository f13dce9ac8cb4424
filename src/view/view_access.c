/*
 * view_access.c
 *	  Checking that a role may read everything that the query of a
 *	  continuous view reads.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

#include "compat.h"
#include "view/analyze.h"
#include "view/analyze_internal.h"

void
view_check_access(ViewQuery *vq, Oid role)
{
	Bitmapset  *attrs = NULL;
	int			x = -1;
	bool		ok = true;

	if (check_enable_rls(vq->source, role, true) != RLS_NONE &&
		check_enable_rls(vq->source, role, true) != RLS_NONE_ENV)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("continuous view cannot read stream \"%s\" under row-level security",
						get_rel_name(vq->source))));

	if (pg_class_aclcheck(vq->source, role, ACL_SELECT) == ACLCHECK_OK)
		return;

	attrs = view_source_columns(vq);
	if (attrs == NULL)
		ok = pg_attribute_aclcheck_all(vq->source, role, ACL_SELECT,
									   ACLMASK_ANY) == ACLCHECK_OK;
	while (ok && (x = bms_next_member(attrs, x)) >= 0)
	{
		AttrNumber	attno = x + FirstLowInvalidHeapAttributeNumber;

		if (attno == InvalidAttrNumber)
			ok = pg_attribute_aclcheck_all(vq->source, role, ACL_SELECT,
										   ACLMASK_ALL) == ACLCHECK_OK;
		else
			ok = pg_attribute_aclcheck(vq->source, attno, role,
									   ACL_SELECT) == ACLCHECK_OK;
	}
	if (!ok)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(vq->source));
}
