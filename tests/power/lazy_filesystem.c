/* SPDX-License-Identifier: MIT */
/*
 * A file system that can lose its power.
 *
 *   lazy_filesystem BACKING_FOLDER MOUNT_POINT [FUSE OPTIONS]
 *
 * It shows BACKING_FOLDER at MOUNT_POINT. What is written stays in memory, in
 * pages of the file, until the file is synced (fsync, fdatasync, or opened with
 * O_SYNC or O_DSYNC): only then it goes to the backing folder, which is the
 * disk of this machine. Names (create, rename, unlink, mkdir ...) reach it at
 * once, a file's size with its content.
 *
 *   SIGUSR1   the power is gone: all that is not synced is forgotten, and
 *             everything fails with EIO; no sync succeeds any more
 *   SIGUSR2   the power is back: the files are as the disk has them
 *
 * One thread does everything and looks at the signals before each request: what
 * was answered before is done, what comes after fails. A request that is
 * already being answered counts as before. Nothing is cached in the kernel, so
 * a shared mapping of a file is refused (ENODEV).
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 31
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define BUCKETS 4096

/* A file that is open or not synced; found by its inode. */
struct file {
    struct file *next;
    ino_t inode;
    int descriptor; /* of the file on the disk, to read and write */
    int open_count;
    off_t size;
    off_t disk_valid; /* what lies behind it on the disk was cut off since */
    bool is_dirty;
    char **pages; /* written and not synced; NULL where the disk is right */
    size_t page_count;
};

static struct {
    char root[PATH_MAX];
    struct file *files[BUCKETS];
    bool is_dark;
} disk;

static volatile sig_atomic_t power_wanted = 1;

static void on_signal(int number)
{
    power_wanted = number == SIGUSR2;
}

/* -- pages -- */

static void *must(void *pointer)
{
    if (pointer == NULL) {
        fputs("lazy_filesystem: out of memory\n", stderr);
        abort();
    }
    return pointer;
}

static void drop_pages(struct file *file, size_t from)
{
    for (size_t i = from; i < file->page_count; i++) {
        free(file->pages[i]);
        file->pages[i] = NULL;
    }
}

/* From the disk, with zeros where it has nothing that is valid. */
static int read_disk(const struct file *file, char *out, size_t length,
                     off_t at)
{
    memset(out, 0, length);
    if (at >= file->disk_valid) {
        return 0;
    }
    if ((off_t)length > file->disk_valid - at) {
        length = (size_t)(file->disk_valid - at);
    }
    return pread(file->descriptor, out, length, at) < 0 ? -errno : 0;
}

static char *page_to_write(struct file *file, size_t index)
{
    if (index >= file->page_count) {
        size_t count = index * 2 + 16;
        file->pages = must(realloc(file->pages, count * sizeof(char *)));
        memset(file->pages + file->page_count, 0,
               (count - file->page_count) * sizeof(char *));
        file->page_count = count;
    }
    if (file->pages[index] == NULL) {
        file->pages[index] = must(malloc(PAGE));
        if (read_disk(file, file->pages[index], PAGE, (off_t)index * PAGE)) {
            memset(file->pages[index], 0, PAGE);
        }
    }
    return file->pages[index];
}

static void write_pages(struct file *file, const char *data, size_t length,
                        off_t at)
{
    size_t done = 0;
    while (done < length) {
        size_t offset = (size_t)(at + (off_t)done) % PAGE;
        size_t part = PAGE - offset;
        part = part < length - done ? part : length - done;
        char *page = page_to_write(file, (size_t)(at + (off_t)done) / PAGE);
        memcpy(page + offset, data + done, part);
        done += part;
    }
    if (at + (off_t)length > file->size) {
        file->size = at + (off_t)length;
    }
    file->is_dirty = true;
}

static int read_pages(const struct file *file, char *out, size_t length,
                      off_t at)
{
    if (at >= file->size) {
        return 0;
    }
    if ((off_t)length > file->size - at) {
        length = (size_t)(file->size - at);
    }
    int problem = read_disk(file, out, length, at);
    if (problem != 0) {
        return problem;
    }
    for (size_t done = 0; done < length;) {
        size_t index = (size_t)(at + (off_t)done) / PAGE;
        size_t offset = (size_t)(at + (off_t)done) % PAGE;
        size_t part = PAGE - offset;
        part = part < length - done ? part : length - done;
        if (index < file->page_count && file->pages[index] != NULL) {
            memcpy(out + done, file->pages[index] + offset, part);
        }
        done += part;
    }
    return (int)length;
}

/* What lies behind the new end is gone, and reads as zeros if it grows again.
 */
static void cut_file(struct file *file, off_t size)
{
    if (size < file->size) {
        size_t kept = ((size_t)size + PAGE - 1) / PAGE;
        if (kept < file->page_count) {
            drop_pages(file, kept);
        }
        if (size < file->disk_valid) {
            file->disk_valid = size;
        }
        if (size % PAGE != 0) {
            char *page = page_to_write(file, kept - 1);
            memset(page + size % PAGE, 0, PAGE - (size_t)(size % PAGE));
        }
    }
    file->size = size;
    file->is_dirty = true;
}

static int write_page_to_disk(const struct file *file, size_t index)
{
    off_t at = (off_t)index * PAGE;
    size_t length = file->size - at < PAGE ? (size_t)(file->size - at) : PAGE;
    ssize_t count = pwrite(file->descriptor, file->pages[index], length, at);
    return count == (ssize_t)length ? 0 : -EIO;
}

/* The backing folder is the disk: it need not be synced itself. */
static int sync_file(struct file *file)
{
    if (!file->is_dirty) {
        return 0;
    }
    if (ftruncate(file->descriptor, file->disk_valid) != 0 ||
        ftruncate(file->descriptor, file->size) != 0) {
        return -errno;
    }
    for (size_t i = 0; i < file->page_count; i++) {
        if (file->pages[i] != NULL && write_page_to_disk(file, i) != 0) {
            return -EIO;
        }
    }
    drop_pages(file, 0);
    file->disk_valid = file->size;
    file->is_dirty = false;
    return 0;
}

/* -- files -- */

static struct file *find_file(ino_t inode)
{
    struct file *file = disk.files[inode % BUCKETS];
    while (file != NULL && file->inode != inode) {
        file = file->next;
    }
    return file;
}

/* Take over an open descriptor: closed again if the file is known. */
static struct file *keep_file(int descriptor)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0) {
        abort();
    }
    struct file *file = find_file(status.st_ino);
    if (file != NULL) {
        close(descriptor);
        return file;
    }
    file = must(calloc(1, sizeof *file));
    file->inode = status.st_ino;
    file->descriptor = descriptor;
    file->size = file->disk_valid = status.st_size;
    file->next = disk.files[file->inode % BUCKETS];
    disk.files[file->inode % BUCKETS] = file;
    return file;
}

/* Forget a file that nobody has open and that has nothing to lose, or no name
 * any more. */
static void tidy_file(struct file *file)
{
    struct stat status;
    if (file == NULL || file->open_count > 0 ||
        (file->is_dirty && fstat(file->descriptor, &status) == 0 &&
         status.st_nlink > 0)) {
        return;
    }
    struct file **at = &disk.files[file->inode % BUCKETS];
    while (*at != file) {
        at = &(*at)->next;
    }
    *at = file->next;
    drop_pages(file, 0);
    free(file->pages);
    close(file->descriptor);
    free(file);
}

/* All files as the disk has them; those that are open stay known. */
static void forget_all(void)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct file *next = NULL;
        for (struct file *file = disk.files[i]; file != NULL; file = next) {
            struct stat status;
            next = file->next;
            drop_pages(file, 0);
            if (fstat(file->descriptor, &status) == 0) {
                file->size = file->disk_valid = status.st_size;
            }
            file->is_dirty = false;
            tidy_file(file);
        }
    }
}

/* Before each request: what did the signals say? */
static bool is_dark(void)
{
    bool should_be = !power_wanted;
    if (should_be && !disk.is_dark) {
        forget_all();
    }
    disk.is_dark = should_be;
    return should_be;
}

/* -- requests: names -- */

/* A path on the disk; good until the next but one is asked for. */
static const char *real(const char *path)
{
    static char paths[2][PATH_MAX];
    static int turn;
    turn = !turn;
    snprintf(paths[turn], PATH_MAX, "%s%s", disk.root, path);
    return paths[turn];
}

static int answer(int result)
{
    return result == 0 ? 0 : -errno;
}

static struct file *file_of(const struct fuse_file_info *info)
{
    return info != NULL ? (struct file *)(uintptr_t)info->fh : NULL;
}

/* Of what is made for somebody else: we may be root. */
static int give_to_caller(const char *path)
{
    const struct fuse_context *caller = fuse_get_context();
    return geteuid() != 0 ? 0 : answer(lchown(path, caller->uid, caller->gid));
}

static int on_getattr(const char *path, struct stat *status,
                      struct fuse_file_info *info)
{
    const struct file *file = file_of(info);
    if (is_dark()) {
        return -EIO;
    }
    if (file != NULL ? fstat(file->descriptor, status) != 0
                     : lstat(real(path), status) != 0) {
        return -errno;
    }
    file = find_file(status->st_ino);
    if (file != NULL && S_ISREG(status->st_mode)) {
        status->st_size = file->size;
    }
    return 0;
}

static int on_mkdir(const char *path, mode_t mode)
{
    const char *name = real(path);
    if (is_dark() || mkdir(name, mode) != 0) {
        return disk.is_dark ? -EIO : -errno;
    }
    return give_to_caller(name);
}

static int on_rmdir(const char *path)
{
    return is_dark() ? -EIO : answer(rmdir(real(path)));
}

/* The file that stands behind a name which is about to go, if it is known. */
static struct file *file_named(const char *path)
{
    struct stat status;
    return lstat(real(path), &status) == 0 ? find_file(status.st_ino) : NULL;
}

static int on_unlink(const char *path)
{
    if (is_dark()) {
        return -EIO;
    }
    struct file *file = file_named(path);
    int result = answer(unlink(real(path)));
    tidy_file(file);
    return result;
}

static int on_rename(const char *from, const char *to, unsigned flags)
{
    if (is_dark()) {
        return -EIO;
    }
    struct file *file = file_named(to);
    int result =
        answer(renameat2(AT_FDCWD, real(from), AT_FDCWD, real(to), flags));
    tidy_file(file);
    return result;
}

static int on_link(const char *from, const char *to)
{
    return is_dark() ? -EIO : answer(link(real(from), real(to)));
}

static int on_chmod(const char *path, mode_t mode, struct fuse_file_info *info)
{
    (void)info;
    return is_dark() ? -EIO : answer(chmod(real(path), mode));
}

static int on_opendir(const char *path, struct fuse_file_info *info)
{
    DIR *folder = is_dark() ? NULL : opendir(real(path));
    info->fh = (uintptr_t)folder;
    return folder != NULL ? 0 : disk.is_dark ? -EIO : -errno;
}

static int on_readdir(const char *path, void *buffer, fuse_fill_dir_t fill,
                      off_t offset, struct fuse_file_info *info,
                      enum fuse_readdir_flags flags)
{
    DIR *folder = (DIR *)(uintptr_t)info->fh;
    const struct dirent *entry;
    (void)path;
    (void)offset;
    (void)flags;
    if (is_dark()) {
        return -EIO;
    }
    rewinddir(folder);
    while ((entry = readdir(folder)) != NULL) {
        fill(buffer, entry->d_name, NULL, 0, 0);
    }
    return 0;
}

static int on_releasedir(const char *path, struct fuse_file_info *info)
{
    (void)path;
    return answer(closedir((DIR *)(uintptr_t)info->fh));
}

/* -- requests: content -- */

static int on_open(const char *path, struct fuse_file_info *info)
{
    int descriptor = is_dark() ? -1 : open(real(path), O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        return disk.is_dark ? -EIO : -errno;
    }
    struct file *file = keep_file(descriptor);
    file->open_count++;
    info->fh = (uintptr_t)file;
    info->direct_io = 1;
    if (info->flags & O_TRUNC) {
        cut_file(file, 0);
    }
    return 0;
}

static int on_create(const char *path, mode_t mode, struct fuse_file_info *info)
{
    const char *name = real(path);
    int descriptor =
        is_dark() ? -1 : open(name, O_CREAT | O_EXCL | O_RDWR, mode);
    if (descriptor < 0) {
        return disk.is_dark ? -EIO : -errno;
    }
    close(descriptor);
    int result = give_to_caller(name);
    return result != 0 ? result : on_open(path, info);
}

/* Also in the dark: who had it open was killed. */
static int on_release(const char *path, struct fuse_file_info *info)
{
    (void)path;
    (void)is_dark();
    file_of(info)->open_count--;
    tidy_file(file_of(info));
    return 0;
}

static int on_read(const char *path, char *out, size_t size, off_t at,
                   struct fuse_file_info *info)
{
    (void)path;
    return is_dark() ? -EIO : read_pages(file_of(info), out, size, at);
}

static int on_write(const char *path, const char *data, size_t size, off_t at,
                    struct fuse_file_info *info)
{
    (void)path;
    if (is_dark()) {
        return -EIO;
    }
    write_pages(file_of(info), data, size, at);
    int result =
        info->flags & (O_SYNC | O_DSYNC) ? sync_file(file_of(info)) : 0;
    return result != 0 ? result : (int)size;
}

static int on_truncate(const char *path, off_t size,
                       struct fuse_file_info *info)
{
    struct fuse_file_info own = { .flags = O_RDWR };
    bool is_ours = info == NULL;
    int result = is_dark() ? -EIO : is_ours ? on_open(path, &own) : 0;
    if (result == 0) {
        cut_file(file_of(is_ours ? &own : info), size);
    }
    return result != 0 || !is_ours ? result : on_release(path, &own);
}

static int on_fsync(const char *path, int is_data_only,
                    struct fuse_file_info *info)
{
    (void)path;
    (void)is_data_only;
    return is_dark() ? -EIO : sync_file(file_of(info));
}

/* Names are on the disk already. */
static int on_fsyncdir(const char *path, int is_data_only,
                       struct fuse_file_info *info)
{
    (void)path;
    (void)is_data_only;
    (void)info;
    return is_dark() ? -EIO : 0;
}

static void *on_start(struct fuse_conn_info *connection,
                      struct fuse_config *config)
{
    (void)connection;
    config->hard_remove = config->nullpath_ok = 1;
    config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
    return NULL;
}

static const struct fuse_operations operations = {
    .init = on_start,
    .getattr = on_getattr,
    .mkdir = on_mkdir,
    .unlink = on_unlink,
    .rmdir = on_rmdir,
    .rename = on_rename,
    .link = on_link,
    .chmod = on_chmod,
    .truncate = on_truncate,
    .opendir = on_opendir,
    .readdir = on_readdir,
    .releasedir = on_releasedir,
    .create = on_create,
    .open = on_open,
    .release = on_release,
    .read = on_read,
    .write = on_write,
    .fsync = on_fsync,
    .fsyncdir = on_fsyncdir,
};

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_signal };
    struct rlimit files;
    if (argc < 3 || realpath(argv[1], disk.root) == NULL) {
        fputs("usage: lazy_filesystem BACKING_FOLDER MOUNT_POINT [OPTIONS]\n",
              stderr);
        return 2;
    }
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    umask(0);
    struct fuse_args arguments = { 0 };
    for (int i = 0; i < argc; i++) {
        if (i != 1) {
            fuse_opt_add_arg(&arguments, argv[i]);
        }
    }
    fuse_opt_add_arg(&arguments, "-s"); /* one thread */
    fuse_opt_add_arg(&arguments, "-f"); /* in the foreground */
    int status = fuse_main(arguments.argc, arguments.argv, &operations, NULL);
    fuse_opt_free_args(&arguments);
    return status;
}
