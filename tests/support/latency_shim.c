/* A PKCS#11 2.40 module in front of another one, for tests and benchmarks.
 *
 * It hands out a copy of the other module's function list in which a few functions are its own:
 * they do what the control file says, then call the real ones. C_Sign also takes longer.
 *
 *   KYSO_SHIM_MODULE             the real module
 *   KYSO_SHIM_SIGN_MICROSECONDS  time added to each C_Sign, outside of any lock
 *   KYSO_SHIM_CONTROL            file with lines "<function> error <rv> [times]",
 *                                "<function> hang [times]", "<function> crash [times]"
 *   KYSO_SHIM_JOURNAL            file that gets a line "<function> <pid>" for each call
 *                                of C_Initialize, C_OpenSession and C_Login
 *   KYSO_SHIM_SIGN_JOURNAL       file that gets a line "C_Sign <pid> <seconds since 1970>" when
 *                                a C_Sign begins
 *
 * The control file is read at each call, so that a test can change it; "times" is counted in each
 * process, from the moment at which the file was last replaced.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef unsigned long ulong_t;
typedef struct { unsigned char version[2]; void *function[68]; } function_list;

/* Positions in CK_FUNCTION_LIST. */
enum { INITIALIZE = 0, GET_FUNCTION_LIST = 3, OPEN_SESSION = 12, LOGIN = 18, FIND_OBJECTS_INIT = 26,
       SIGN_INIT = 42, SIGN = 43, GENERATE_KEY_PAIR = 59 };
#define CKR_GENERAL_ERROR 0x5UL

static function_list real, ours;
static useconds_t sign_delay;
static const char *control_path, *journal_path, *sign_journal_path;
static pthread_mutex_t counting = PTHREAD_MUTEX_INITIALIZER;
static struct { char function[32]; unsigned long used; } counters[16];
static ino_t counted_inode;

static void write_line(const char *path, const char *line, int length)
{
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (file < 0)
        return;
    if (write(file, line, (size_t)length) != length)
        abort();
    close(file);
}

static void journal(const char *function)
{
    char line[64];

    write_line(journal_path, line, snprintf(line, sizeof line, "%s %ld\n", function, (long)getpid()));
}

static void journal_sign(void)
{
    char line[64];
    struct timespec now;

    if (!sign_journal_path)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    write_line(sign_journal_path, line,
               snprintf(line, sizeof line, "C_Sign %ld %ld.%09ld\n", (long)getpid(), (long)now.tv_sec, now.tv_nsec));
}

/* Count a use of a rule; say whether the rule still holds. */
static int use(const char *function, ino_t inode, unsigned long times)
{
    size_t i;
    int holds = 0;

    pthread_mutex_lock(&counting);
    if (inode != counted_inode) {
        memset(counters, 0, sizeof counters);
        counted_inode = inode;
    }
    for (i = 0; i < sizeof counters / sizeof *counters; i++) {
        if (!counters[i].function[0])
            snprintf(counters[i].function, sizeof counters[i].function, "%s", function);
        if (strcmp(counters[i].function, function) == 0) {
            holds = counters[i].used < times;
            counters[i].used += (unsigned long)holds;
            break;
        }
    }
    pthread_mutex_unlock(&counting);
    return holds;
}

/* Do what the control file says about a function: return 0, or an error to return, or never. */
static ulong_t obey(const char *function)
{
    char line[128], name[32], what[16];
    struct stat facts;
    ulong_t answer = 0;
    FILE *file;

    if (!control_path || !(file = fopen(control_path, "re")))
        return 0;
    if (fstat(fileno(file), &facts) != 0)
        abort();
    while (!answer && fgets(line, sizeof line, file)) {
        unsigned long rv = 0, times = (unsigned long)-1;
        int position = 0;

        if (sscanf(line, "%31s %15s%n", name, what, &position) != 2 || strcmp(name, function) != 0)
            continue;
        if (strcmp(what, "error") == 0)
            sscanf(line + position, "%lx %lu", &rv, &times);
        else
            sscanf(line + position, "%lu", &times);
        if (!use(function, facts.st_ino, times))
            continue;
        if (strcmp(what, "hang") == 0)
            for (;;)
                pause();
        if (strcmp(what, "crash") == 0)
            raise(SIGSEGV);
        answer = rv;
    }
    fclose(file);
    return answer;
}

#define OBEY(function) do { ulong_t told = obey(function); if (told) return told; } while (0)

static ulong_t initialize(void *arguments)
{
    journal("C_Initialize");
    OBEY("C_Initialize");
    return ((ulong_t (*)(void *))real.function[INITIALIZE])(arguments);
}

static ulong_t open_session(ulong_t slot, ulong_t flags, void *application, void *notify, ulong_t *session)
{
    journal("C_OpenSession");
    OBEY("C_OpenSession");
    return ((ulong_t (*)(ulong_t, ulong_t, void *, void *, ulong_t *))real.function[OPEN_SESSION])(
        slot, flags, application, notify, session);
}

static ulong_t login(ulong_t session, ulong_t user, unsigned char *pin, ulong_t length)
{
    journal("C_Login");
    OBEY("C_Login");
    return ((ulong_t (*)(ulong_t, ulong_t, unsigned char *, ulong_t))real.function[LOGIN])(session, user, pin, length);
}

static ulong_t find_objects_init(ulong_t session, void *template, ulong_t count)
{
    OBEY("C_FindObjectsInit");
    return ((ulong_t (*)(ulong_t, void *, ulong_t))real.function[FIND_OBJECTS_INIT])(session, template, count);
}

static ulong_t sign_init(ulong_t session, void *mechanism, ulong_t key)
{
    OBEY("C_SignInit");
    return ((ulong_t (*)(ulong_t, void *, ulong_t))real.function[SIGN_INIT])(session, mechanism, key);
}

static ulong_t sign(ulong_t session, unsigned char *data, ulong_t size, unsigned char *signature, ulong_t *length)
{
    journal_sign();
    if (sign_delay)
        usleep(sign_delay);
    OBEY("C_Sign");
    return ((ulong_t (*)(ulong_t, unsigned char *, ulong_t, unsigned char *, ulong_t *))real.function[SIGN])(
        session, data, size, signature, length);
}

static ulong_t generate_key_pair(ulong_t session, void *mechanism, void *public, ulong_t public_count, void *private,
                                 ulong_t private_count, ulong_t *public_key, ulong_t *private_key)
{
    OBEY("C_GenerateKeyPair");
    return ((ulong_t (*)(ulong_t, void *, void *, ulong_t, void *, ulong_t, ulong_t *, ulong_t *))
            real.function[GENERATE_KEY_PAIR])(session, mechanism, public, public_count, private, private_count,
                                              public_key, private_key);
}

ulong_t C_GetFunctionList(function_list **list)
{
    static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
    ulong_t (*get)(function_list **);
    function_list *theirs;
    const char *delay;
    void *module;
    ulong_t rv = CKR_GENERAL_ERROR;

    pthread_mutex_lock(&loading);
    if (!ours.function[SIGN]) {
        const char *path = getenv("KYSO_SHIM_MODULE");

        control_path = getenv("KYSO_SHIM_CONTROL");
        journal_path = getenv("KYSO_SHIM_JOURNAL");
        sign_journal_path = getenv("KYSO_SHIM_SIGN_JOURNAL");
        delay = getenv("KYSO_SHIM_SIGN_MICROSECONDS");
        sign_delay = delay ? (useconds_t)strtoul(delay, NULL, 10) : 0;
        module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
        *(void **)&get = module ? dlsym(module, "C_GetFunctionList") : NULL;
        if (get && get(&theirs) == 0) {
            real = ours = *theirs;
            ours.function[GET_FUNCTION_LIST] = (void *)C_GetFunctionList;
            ours.function[INITIALIZE] = (void *)initialize;
            ours.function[OPEN_SESSION] = (void *)open_session;
            ours.function[LOGIN] = (void *)login;
            ours.function[FIND_OBJECTS_INIT] = (void *)find_objects_init;
            ours.function[SIGN_INIT] = (void *)sign_init;
            ours.function[GENERATE_KEY_PAIR] = (void *)generate_key_pair;
            ours.function[SIGN] = (void *)sign;
        }
    }
    if (ours.function[SIGN]) {
        *list = &ours;
        rv = 0;
    }
    pthread_mutex_unlock(&loading);
    return rv;
}
