// Lets an addon built on a new Linux load on Node 20's own floor, glibc 2.28: symbols that glibc has since
// given a new version are bound to the old one here, and whoever in the addon calls them finds these
// definitions first. The old versions are kept by every later glibc; they differ in error reporting at most,
// never in results.
#include <features.h>

#if defined(__GLIBC__) && (defined(__x86_64__) || defined(__aarch64__))
#include <dlfcn.h>
#include <pthread.h>
#include <sys/stat.h>

#if defined(__x86_64__)
#define OLD_VERSION "GLIBC_2.2.5"
constexpr int kStatVersion = 1;
#else
#define OLD_VERSION "GLIBC_2.17"
constexpr int kStatVersion = 0;
#endif
#define BIND_OLD(name, symbol) __asm__(".symver " #name "," symbol "@" OLD_VERSION)

BIND_OLD(old_exp, "exp");
BIND_OLD(old_log, "log");
BIND_OLD(old_pow, "pow");
BIND_OLD(old_stat, "__xstat");
BIND_OLD(old_fstat, "__fxstat");
BIND_OLD(old_dlopen, "dlopen");
BIND_OLD(old_dlsym, "dlsym");
BIND_OLD(old_dlerror, "dlerror");
BIND_OLD(old_pthread_create, "pthread_create");
BIND_OLD(old_pthread_join, "pthread_join");
BIND_OLD(old_pthread_detach, "pthread_detach");
BIND_OLD(old_pthread_once, "pthread_once");

extern "C" {
double old_exp(double x);
double old_log(double x);
double old_pow(double x, double y);
int old_stat(int version, const char* path, struct stat* out);
int old_fstat(int version, int fd, struct stat* out);
void* old_dlopen(const char* file, int mode);
void* old_dlsym(void* handle, const char* name);
char* old_dlerror();
int old_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                       void* argument);
int old_pthread_join(pthread_t thread, void** result);
int old_pthread_detach(pthread_t thread);
int old_pthread_once(pthread_once_t* once, void (*routine)());

double exp(double x) noexcept { return old_exp(x); }
double log(double x) noexcept { return old_log(x); }
double pow(double x, double y) noexcept { return old_pow(x, y); }
int stat(const char* path, struct stat* out) noexcept { return old_stat(kStatVersion, path, out); }
int fstat(int fd, struct stat* out) noexcept { return old_fstat(kStatVersion, fd, out); }
// Of libdl until glibc 2.34, which Node itself is linked to.
void* dlopen(const char* file, int mode) noexcept { return old_dlopen(file, mode); }
void* dlsym(void* handle, const char* name) noexcept { return old_dlsym(handle, name); }
char* dlerror() noexcept { return old_dlerror(); }
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) noexcept {
  return old_pthread_create(thread, attributes, start, argument);
}
int pthread_join(pthread_t thread, void** result) { return old_pthread_join(thread, result); }
int pthread_detach(pthread_t thread) noexcept { return old_pthread_detach(thread); }
int pthread_once(pthread_once_t* once, void (*routine)()) { return old_pthread_once(once, routine); }

// Asked by libstdc++'s shared_ptr since glibc 2.32: whether the process has one thread. Answered with "no".
extern char __libc_single_threaded;
char __libc_single_threaded = 0;
}
#endif
