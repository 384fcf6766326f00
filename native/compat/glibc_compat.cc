// std::shared_ptr asks glibc >= 2.32 whether the process has one thread; the addon answers "no" itself, so that a
// prebuild made on a new system loads on Node 20's own floor (glibc 2.28).
extern "C" {
extern char __libc_single_threaded __attribute__((visibility("hidden")));
char __libc_single_threaded = 0;
}
