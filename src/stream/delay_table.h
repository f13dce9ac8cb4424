/*
 * delay_table.h
 *	  Columns of streamq.delayed_message.
 */
#ifndef STREAMQ_STREAM_DELAY_TABLE_H
#define STREAMQ_STREAM_DELAY_TABLE_H

#define Anum_delayed_stream	1
#define Anum_delayed_id	2
#define Anum_delayed_due_at	3
#define Anum_delayed_deliver_at	4
#define Anum_delayed_partition	5
#define Anum_delayed_key	6
#define Anum_delayed_payload	7
#define Anum_delayed_payload_type	8
#define Anum_delayed_headers	9
#define Anum_delayed_dedup_id	10
#define Anum_delayed_attempts	11
#define Anum_delayed_last_error	12
#define Anum_delayed_after_messages	13
#define Anum_delayed_restored_at	14
#define Natts_delayed	14

#endif
