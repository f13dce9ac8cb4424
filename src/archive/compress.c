/*
 * compress.c
 *	  Compressed files.
 *
 * PostgreSQL itself is linked with zlib, lz4 and zstd, if it was built with
 * them.  So their functions are in every server process already, and are
 * looked up by name.  Linking this library with them would need their headers
 * where streamq is built, for functions that few users need.
 *
 * All functions used here are part of the stable interface of their libraries.
 */
#include "postgres.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "archive/compress.h"

#define CHUNK			(64 * 1024)

/* ---- functions of the libraries ---- */

/* zlib */
static void *(*gz_dopen) (int fd, const char *mode);
static int	(*gz_write) (void *file, const void *buf, unsigned len);
static int	(*gz_read) (void *file, void *buf, unsigned len);
static const char *(*gz_error) (void *file, int *errnum);
static int	(*gz_close) (void *file);

/* lz4, frames */
#define LZ4_VERSION_OF_FRAMES	100
#define LZ4_HEADER_MAX			19

static size_t (*lz4_create_compression) (void **ctx, unsigned version);
static size_t (*lz4_free_compression) (void *ctx);
static size_t (*lz4_begin) (void *ctx, void *dst, size_t dstlen, const void *prefs);
static size_t (*lz4_bound) (size_t srclen, const void *prefs);
static size_t (*lz4_update) (void *ctx, void *dst, size_t dstlen, const void *src,
							 size_t srclen, const void *options);
static size_t (*lz4_end) (void *ctx, void *dst, size_t dstlen, const void *options);
static unsigned (*lz4_is_error) (size_t code);
static const char *(*lz4_error_name) (size_t code);
static size_t (*lz4_create_decompression) (void **ctx, unsigned version);
static size_t (*lz4_free_decompression) (void *ctx);
static size_t (*lz4_decompress) (void *ctx, void *dst, size_t *dstlen, const void *src,
								 size_t *srclen, const void *options);

/* zstd */
#define ZSTD_CONTINUE	0
#define ZSTD_END		2

typedef struct ZstdIn
{
	const void *src;
	size_t		size;
	size_t		pos;
} ZstdIn;

typedef struct ZstdOut
{
	void	   *dst;
	size_t		size;
	size_t		pos;
} ZstdOut;

static void *(*zstd_create_compression) (void);
static size_t (*zstd_free_compression) (void *ctx);
static size_t (*zstd_compress) (void *ctx, ZstdOut *out, ZstdIn *in, int op);
static unsigned (*zstd_is_error) (size_t code);
static const char *(*zstd_error_name) (size_t code);
static void *(*zstd_create_decompression) (void);
static size_t (*zstd_free_decompression) (void *ctx);
static size_t (*zstd_decompress) (void *ctx, ZstdOut *out, ZstdIn *in);

typedef struct LibraryFunction
{
	ArchiveCompression compression;
	const char *name;
	void	   *pointer;		/* to one of the variables above */
} LibraryFunction;

static const LibraryFunction functions[] = {
	{ARCHIVE_GZIP, "gzdopen", &gz_dopen},
	{ARCHIVE_GZIP, "gzwrite", &gz_write},
	{ARCHIVE_GZIP, "gzread", &gz_read},
	{ARCHIVE_GZIP, "gzerror", &gz_error},
	{ARCHIVE_GZIP, "gzclose", &gz_close},
	{ARCHIVE_LZ4, "LZ4F_createCompressionContext", &lz4_create_compression},
	{ARCHIVE_LZ4, "LZ4F_freeCompressionContext", &lz4_free_compression},
	{ARCHIVE_LZ4, "LZ4F_compressBegin", &lz4_begin},
	{ARCHIVE_LZ4, "LZ4F_compressBound", &lz4_bound},
	{ARCHIVE_LZ4, "LZ4F_compressUpdate", &lz4_update},
	{ARCHIVE_LZ4, "LZ4F_compressEnd", &lz4_end},
	{ARCHIVE_LZ4, "LZ4F_isError", &lz4_is_error},
	{ARCHIVE_LZ4, "LZ4F_getErrorName", &lz4_error_name},
	{ARCHIVE_LZ4, "LZ4F_createDecompressionContext", &lz4_create_decompression},
	{ARCHIVE_LZ4, "LZ4F_freeDecompressionContext", &lz4_free_decompression},
	{ARCHIVE_LZ4, "LZ4F_decompress", &lz4_decompress},
	{ARCHIVE_ZSTD, "ZSTD_createCCtx", &zstd_create_compression},
	{ARCHIVE_ZSTD, "ZSTD_freeCCtx", &zstd_free_compression},
	{ARCHIVE_ZSTD, "ZSTD_compressStream2", &zstd_compress},
	{ARCHIVE_ZSTD, "ZSTD_isError", &zstd_is_error},
	{ARCHIVE_ZSTD, "ZSTD_getErrorName", &zstd_error_name},
	{ARCHIVE_ZSTD, "ZSTD_createDCtx", &zstd_create_decompression},
	{ARCHIVE_ZSTD, "ZSTD_freeDCtx", &zstd_free_decompression},
	{ARCHIVE_ZSTD, "ZSTD_decompressStream", &zstd_decompress},
};

void
archive_check_compression(ArchiveCompression compression)
{
	for (int i = 0; i < lengthof(functions); i++)
	{
		void	   *function;

		if (functions[i].compression != compression)
			continue;
		function = dlsym(RTLD_DEFAULT, functions[i].name);
		if (function == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("compression method \"%s\" is not supported by this server",
							archive_compression_name(compression)),
					 errdetail("PostgreSQL was built without the library.")));
		memcpy(functions[i].pointer, &function, sizeof(function));
	}
}

/* ---- files ---- */

static int
open_file(const char *path, int flags)
{
	int			fd = OpenTransientFile(path, flags | PG_BINARY);

	if (fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	return fd;
}

static int
read_chunk(int fd, const char *path, char *buf)
{
	int			n;

	CHECK_FOR_INTERRUPTS();
	n = read(fd, buf, CHUNK);
	if (n < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	return n;
}

static void
report_write_error(const char *path)
{
	/* a short write without an error means that the disk is full */
	if (errno == 0)
		errno = ENOSPC;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write to file \"%s\": %m", path)));
}

static void
write_chunk(int fd, const char *path, const char *buf, size_t len)
{
	errno = 0;
	if (write(fd, buf, len) != (ssize_t) len)
		report_write_error(path);
}

/* ---- compressing ---- */

/* what has to be released, also after an error */
typedef struct Resource
{
	MemoryContextCallback callback;
	void	   *gz;
	void	   *lz4_compression;
	void	   *lz4_decompression;
	void	   *zstd_compression;
	void	   *zstd_decompression;
} Resource;

static void
release(void *arg)
{
	Resource   *resource = arg;

	if (resource->gz != NULL)
		gz_close(resource->gz);
	if (resource->lz4_compression != NULL)
		lz4_free_compression(resource->lz4_compression);
	if (resource->lz4_decompression != NULL)
		lz4_free_decompression(resource->lz4_decompression);
	if (resource->zstd_compression != NULL)
		zstd_free_compression(resource->zstd_compression);
	if (resource->zstd_decompression != NULL)
		zstd_free_decompression(resource->zstd_decompression);
	resource->gz = NULL;
	resource->lz4_compression = resource->lz4_decompression = NULL;
	resource->zstd_compression = resource->zstd_decompression = NULL;
}

static void
register_resource(Resource *resource)
{
	resource->callback.func = release;
	resource->callback.arg = resource;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &resource->callback);
}

static void
out_of_memory(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("out of memory")));
}

/* a zlib file of its own copy of the descriptor */
static void *
open_gz(int fd, const char *path, const char *mode)
{
	int			copy = dup(fd);
	void	   *gz;

	if (copy < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path)));
	gz = gz_dopen(copy, mode);
	if (gz == NULL)
	{
		close(copy);
		out_of_memory();
	}
	return gz;
}

typedef struct Compressing
{
	int			in;
	int			out;
	const char *from;
	const char *to;
	char	   *buf;
	Resource	resource;
} Compressing;

static void
copy_plain(Compressing *c)
{
	int			n;

	while ((n = read_chunk(c->in, c->from, c->buf)) > 0)
		write_chunk(c->out, c->to, c->buf, n);
}

static void
compress_gzip(Compressing *c)
{
	int			n;
	void	   *gz = c->resource.gz = open_gz(c->out, c->to, "w");

	while ((n = read_chunk(c->in, c->from, c->buf)) > 0)
	{
		errno = 0;
		if (gz_write(gz, c->buf, n) != n)
			report_write_error(c->to);
	}
	c->resource.gz = NULL;
	errno = 0;
	if (gz_close(gz) != 0)
		report_write_error(c->to);
}

static size_t
check_lz4(size_t result)
{
	if (lz4_is_error(result))
		elog(ERROR, "could not compress data: %s", lz4_error_name(result));
	return result;
}

static void
compress_lz4(Compressing *c)
{
	int			n;
	size_t		size;
	char	   *out;
	void	   *ctx = NULL;

	check_lz4(lz4_create_compression(&ctx, LZ4_VERSION_OF_FRAMES));
	c->resource.lz4_compression = ctx;
	size = Max(lz4_bound(CHUNK, NULL), LZ4_HEADER_MAX);
	out = palloc(size);
	write_chunk(c->out, c->to, out, check_lz4(lz4_begin(ctx, out, size, NULL)));
	while ((n = read_chunk(c->in, c->from, c->buf)) > 0)
		write_chunk(c->out, c->to, out,
					check_lz4(lz4_update(ctx, out, size, c->buf, n, NULL)));
	write_chunk(c->out, c->to, out, check_lz4(lz4_end(ctx, out, size, NULL)));
}

static void
compress_zstd(Compressing *c)
{
	void	   *ctx = zstd_create_compression();
	char	   *buf = palloc(CHUNK);
	int			n;

	if (ctx == NULL)
		out_of_memory();
	c->resource.zstd_compression = ctx;
	do
	{
		ZstdIn		in = {c->buf, n = read_chunk(c->in, c->from, c->buf), 0};
		size_t		left;

		/* at the end, until nothing is left in the library's buffer */
		do
		{
			ZstdOut		out = {buf, CHUNK, 0};

			left = zstd_compress(ctx, &out, &in, n > 0 ? ZSTD_CONTINUE : ZSTD_END);
			if (zstd_is_error(left))
				elog(ERROR, "could not compress data: %s", zstd_error_name(left));
			write_chunk(c->out, c->to, buf, out.pos);
		} while (n > 0 ? in.pos < in.size : left > 0);
	} while (n > 0);
}

void
archive_compress_file(const char *from, const char *to, ArchiveCompression compression)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "streamq compression",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Compressing *c = palloc0(sizeof(Compressing));

	archive_check_compression(compression);
	register_resource(&c->resource);
	c->from = from;
	c->to = to;
	c->buf = palloc(CHUNK);
	c->in = open_file(from, O_RDONLY);
	c->out = open_file(to, O_CREAT | O_TRUNC | O_WRONLY);
	switch (compression)
	{
		case ARCHIVE_NONE:
			copy_plain(c);
			break;
		case ARCHIVE_GZIP:
			compress_gzip(c);
			break;
		case ARCHIVE_LZ4:
			compress_lz4(c);
			break;
		case ARCHIVE_ZSTD:
			compress_zstd(c);
			break;
	}
	CloseTransientFile(c->in);
	if (CloseTransientFile(c->out) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", to)));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* ---- decompressing ---- */

struct ArchiveInput
{
	ArchiveCompression compression;
	char	   *path;
	int			fd;
	Resource	resource;

	/* compressed bytes from the file, for lz4 and zstd */
	char	   *buf;
	size_t		len;
	size_t		pos;
	bool		inside;			/* in the middle of a frame */
};

ArchiveInput *
archive_input_open(const char *path, ArchiveCompression compression)
{
	ArchiveInput *input = palloc0(sizeof(ArchiveInput));

	archive_check_compression(compression);
	input->compression = compression;
	input->path = pstrdup(path);
	register_resource(&input->resource);
	input->fd = open_file(path, O_RDONLY);
	input->buf = palloc(CHUNK);
	if (compression == ARCHIVE_GZIP)
		input->resource.gz = open_gz(input->fd, path, "r");
	else if (compression == ARCHIVE_LZ4)
		check_lz4(lz4_create_decompression(&input->resource.lz4_decompression,
										   LZ4_VERSION_OF_FRAMES));
	else if (compression == ARCHIVE_ZSTD)
	{
		input->resource.zstd_decompression = zstd_create_decompression();
		if (input->resource.zstd_decompression == NULL)
			out_of_memory();
	}
	return input;
}

static void
report_damage(ArchiveInput *input, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("could not decompress file \"%s\": %s", input->path, reason)));
}

static int
read_gzip(ArchiveInput *input, char *buf, int len)
{
	int			n = gz_read(input->resource.gz, buf, len);
	int			code = 0;

	if (n < len)
	{
		const char *reason = gz_error(input->resource.gz, &code);

		if (n < 0 || code != 0)
			report_damage(input, reason);
	}
	return n;
}

/* decompress the next bytes of the buffer; returns how many bytes that made */
static size_t
decompress_some(ArchiveInput *input, char *buf, size_t len)
{
	const char *src = input->buf + input->pos;
	size_t		srclen = input->len - input->pos;
	size_t		more;

	if (input->compression == ARCHIVE_LZ4)
	{
		more = lz4_decompress(input->resource.lz4_decompression, buf, &len, src, &srclen, NULL);
		if (lz4_is_error(more))
			report_damage(input, lz4_error_name(more));
		input->pos += srclen;
	}
	else
	{
		ZstdOut		out = {buf, len, 0};
		ZstdIn		in = {src, srclen, 0};

		more = zstd_decompress(input->resource.zstd_decompression, &out, &in);
		if (zstd_is_error(more))
			report_damage(input, zstd_error_name(more));
		input->pos += in.pos;
		len = out.pos;
	}
	input->inside = more > 0;
	return len;
}

static int
read_frames(ArchiveInput *input, char *buf, int len)
{
	int			done = 0;

	while (done < len)
	{
		size_t		n;

		if (input->pos == input->len && !input->inside)
		{
			input->len = read_chunk(input->fd, input->path, input->buf);
			input->pos = 0;
			if (input->len == 0)
				break;
		}
		n = decompress_some(input, buf + done, len - done);
		done += n;
		if (n == 0 && input->inside && input->pos == input->len)
		{
			input->len = read_chunk(input->fd, input->path, input->buf);
			input->pos = 0;
			if (input->len == 0)
				report_damage(input, "unexpected end of file");
		}
	}
	return done;
}

int
archive_input_read(ArchiveInput *input, char *buf, int len)
{
	int			done = 0;

	CHECK_FOR_INTERRUPTS();
	if (input->compression == ARCHIVE_GZIP)
		return read_gzip(input, buf, len);
	if (input->compression != ARCHIVE_NONE)
		return read_frames(input, buf, len);
	while (done < len)
	{
		int			n = read(input->fd, buf + done, len - done);

		if (n < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", input->path)));
		if (n == 0)
			break;
		done += n;
	}
	return done;
}

void
archive_input_close(ArchiveInput *input)
{
	release(&input->resource);
	CloseTransientFile(input->fd);
}
