/* What `gpuctl smoke --deep` runs: NVML and the CUDA driver API, step by step, each told as a line of JSON.

   It is started by glibc's loader (ld.so smoke-x86_64 SECONDS), which the driver's libraries need as well, and rests
   on nothing else. No header is included: nothing of the machine that builds it may get into it, and the functions of
   libc are bound without their versions, so that any glibc of the last fifteen years will do (build.py).

   A line: {"step": …, "gpu": index, "code": n, …}; `gpu` only where a step is about one. `code` is 0 where all is well,
   a CUresult or nvmlReturn_t where the driver refused (then `error` is its name and `call` the function), or one of the
   codes below 0. The last line is {"step": "end", "code": 0}: without it, something ended the program.

   The entry points are those that every driver since 340 exports:
   https://docs.nvidia.com/cuda/cuda-driver-api/, https://docs.nvidia.com/deploy/nvml-api/ */

enum { NOT_LOADED = -1, WRONG_ANSWER = -2, NO_END = -3, NO_FUNCTION = -4 };
enum { RTLD_NOW = 2, RTLD_DI_LINKMAP = 2, SIGALRM = 14 };
enum { WORDS = 1 << 20, BYTES = 4 * WORDS, THREADS = 256 };
enum { BLOCKING_SYNC = 4, CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };

typedef unsigned long Size;
typedef unsigned long long Address;
typedef struct { void *address; char *name; } LinkMap;

int atoi(const char *text);
int dlinfo(void *library, int request, void *answer);
char *dlerror(void);
void *dlopen(const char *name, int mode);
void *dlsym(void *library, const char *name);
int memcmp(const void *one, const void *other, Size bytes);
void *memset(void *place, int byte, Size bytes);
int setenv(const char *name, const char *value, int overwrite);
void (*signal(int number, void (*handler)(int)))(int);
int snprintf(char *text, Size size, const char *format, ...) __attribute__((format(printf, 3, 4)));
Size strlen(const char *text);
int unsetenv(const char *name);
unsigned alarm(unsigned seconds);
long write(int file, const void *bytes, Size count);
void _exit(int status) __attribute__((noreturn));

/* So that a test can tell whether this program was built from this source. */
__attribute__((used)) static const char source[] = "gpuctl source sha256 " SOURCE;

extern const char ptx[];
__asm__(".section .rodata\n.global ptx\n.hidden ptx\nptx:\n.incbin \"smoke.ptx\"\n.byte 0\n.previous\n");

static struct {
    int (*nvmlInit_v2)(void);
    int (*nvmlSystemGetDriverVersion)(char *, unsigned);
    int (*nvmlDeviceGetCount_v2)(unsigned *);
    int (*nvmlDeviceGetHandleByIndex_v2)(unsigned, void **);
    int (*nvmlDeviceGetUUID)(void *, char *, unsigned);
    const char *(*nvmlErrorString)(int);
    int (*nvmlDeviceGetMigMode)(void *, unsigned *, unsigned *); /* since 450 */
} nvml;
static const char *const nvml_names[] = {
    "nvmlInit_v2", "nvmlSystemGetDriverVersion", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetUUID", "nvmlErrorString", "nvmlDeviceGetMigMode"};

static struct {
    int (*cuInit)(unsigned);
    int (*cuDriverGetVersion)(int *);
    int (*cuDeviceGetCount)(int *);
    int (*cuDeviceGet)(int *, int);
    int (*cuDeviceGetName)(char *, int, int);
    int (*cuDeviceGetAttribute)(int *, int, int);
    int (*cuDeviceTotalMem_v2)(Size *, int);
    int (*cuCtxCreate_v2)(void **, unsigned, int);
    int (*cuCtxDestroy_v2)(void *);
    int (*cuMemAlloc_v2)(Address *, Size);
    int (*cuMemFree_v2)(Address);
    int (*cuMemcpyHtoD_v2)(Address, const void *, Size);
    int (*cuMemcpyDtoH_v2)(void *, Address, Size);
    int (*cuModuleLoadData)(void **, const void *);
    int (*cuModuleGetFunction)(void **, void *, const char *);
    int (*cuLaunchKernel)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                          void **);
    int (*cuCtxSynchronize)(void);
    int (*cuGetErrorName)(int, const char **);      /* since CUDA 6.0 */
    int (*cuDeviceGetUuid)(unsigned char[16], int); /* since CUDA 9.2 */
} cuda;
static const char *const cuda_names[] = {
    "cuInit", "cuDriverGetVersion", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute",
    "cuDeviceTotalMem_v2", "cuCtxCreate_v2", "cuCtxDestroy_v2", "cuMemAlloc_v2", "cuMemFree_v2", "cuMemcpyHtoD_v2",
    "cuMemcpyDtoH_v2", "cuModuleLoadData", "cuModuleGetFunction", "cuLaunchKernel", "cuCtxSynchronize",
    "cuGetErrorName", "cuDeviceGetUuid"};
enum { NVML_OPTIONAL = 1, CUDA_OPTIONAL = 2 };
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static const char *call;
/* Calls a function of the driver and remembers its name. */
#define ASK(library, function, ...) (call = #function, library.function(__VA_ARGS__))

static char place[64];     /* what every line of the current step begins with */
static char too_late[128]; /* the line that the alarm writes */
static char more[2048];    /* what a successful step adds to its line */
static unsigned sent[WORDS], received[WORDS];

static void say(const char *line) {
    for (Size left = strlen(line); left;) {
        long done = write(1, line, left);
        if (done <= 0) _exit(1);
        line += done, left -= done;
    }
}

static void stop(int number) {
    (void)number;
    say(too_late);
    _exit(1);
}

static void begin(const char *step, int gpu) {
    char about[24] = "";
    if (gpu >= 0) snprintf(about, sizeof about, "\"gpu\": %d, ", gpu);
    snprintf(place, sizeof place, "{\"step\": \"%s\", %s\"code\": ", step, about);
    snprintf(too_late, sizeof too_late, "%s%d}\n", place, NO_END);
    more[0] = 0, call = 0;
}

/* The text as the inside of a JSON string; what is no ASCII goes through as it is. */
static const char *quoted(const char *text) {
    static char out[512];
    Size used = 0;
    for (; *text && used < sizeof out - 8; text++) {
        unsigned char letter = *text;
        if (letter < ' ' || letter == '"' || letter == '\\')
            used += snprintf(out + used, 8, "\\u%04x", letter);
        else
            out[used++] = letter;
    }
    out[used] = 0;
    return out;
}

static void add(const char *name, const char *text) {
    Size used = strlen(more);
    snprintf(more + used, sizeof more - used, ", \"%s\": \"%s\"", name, quoted(text));
}

static void add_number(const char *name, unsigned long long number) {
    Size used = strlen(more);
    snprintf(more + used, sizeof more - used, ", \"%s\": %llu", name, number);
}

/* Tells the end of a step and returns whether all is well. */
static int end(int code, const char *error) {
    char line[sizeof place + sizeof more + 32];
    if (code) {
        more[0] = 0;
        if (error) add("error", error);
        if (call && code > 0) add("call", call);
    }
    snprintf(line, sizeof line, "%s%d%s}\n", place, code, more);
    say(line);
    return code == 0;
}

static int end_nvml(int code) {
    return end(code, code > 0 ? nvml.nvmlErrorString(code) : 0);
}

static int end_cuda(int code) {
    const char *name = 0;
    if (code > 0 && cuda.cuGetErrorName) cuda.cuGetErrorName(code, &name);
    return end(code, name);
}

/* Loads a library and finds its functions, of which the last `optional` ones may be missing. */
static int load(const char *step, const char *name, const char *const *names, int count, int optional, void **found) {
    LinkMap *map = 0;
    void *library;
    begin(step, -1);
    library = dlopen(name, RTLD_NOW);
    if (!library) return end(NOT_LOADED, dlerror());
    for (int i = 0; i < count; i++) {
        found[i] = dlsym(library, names[i]);
        if (!found[i] && i < count - optional) return end(NO_FUNCTION, names[i]);
    }
    if (!dlinfo(library, RTLD_DI_LINKMAP, &map) && map) add("library", map->name);
    return end(0, 0);
}

static int nvml_gpu(unsigned index) {
    void *device;
    char uuid[96];
    unsigned current, pending;
    int code;
    begin("nvml-gpu", index);
    if ((code = ASK(nvml, nvmlDeviceGetHandleByIndex_v2, index, &device)) ||
        (code = ASK(nvml, nvmlDeviceGetUUID, device, uuid, sizeof uuid)))
        return end_nvml(code);
    add("uuid", uuid);
    if (nvml.nvmlDeviceGetMigMode && !nvml.nvmlDeviceGetMigMode(device, &current, &pending)) add_number("mig", current);
    return end_nvml(0);
}

static int test_nvml(void) {
    char driver[96];
    unsigned count;
    int code, well = 1;
    if (!load("nvml-load", "libnvidia-ml.so.1", nvml_names, COUNT(nvml_names), NVML_OPTIONAL, (void **)&nvml)) return 0;
    begin("nvml-init", -1);
    if ((code = ASK(nvml, nvmlInit_v2)) ||
        (code = ASK(nvml, nvmlSystemGetDriverVersion, driver, sizeof driver)) ||
        (code = ASK(nvml, nvmlDeviceGetCount_v2, &count)))
        return end_nvml(code);
    add("driver", driver);
    add_number("count", count);
    end_nvml(0);
    for (unsigned index = 0; index < count; index++) well &= nvml_gpu(index);
    return well;
}

static void add_uuid(const unsigned char *bytes) {
    char text[48] = "GPU-";
    for (int i = 0, used = 4; i < 16; i++)
        used += snprintf(text + used, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
    add("uuid", text);
}

static int describe(int gpu, int *device) {
    char name[256], capability[32];
    unsigned char uuid[16];
    int code, major, minor;
    Size bytes;
    begin("device", gpu);
    if ((code = ASK(cuda, cuDeviceGet, device, gpu)) ||
        (code = ASK(cuda, cuDeviceGetName, name, sizeof name, *device)) ||
        (code = ASK(cuda, cuDeviceGetAttribute, &major, CAPABILITY_MAJOR, *device)) ||
        (code = ASK(cuda, cuDeviceGetAttribute, &minor, CAPABILITY_MINOR, *device)) ||
        (code = ASK(cuda, cuDeviceTotalMem_v2, &bytes, *device)))
        return end_cuda(code);
    snprintf(capability, sizeof capability, "%d.%d", major, minor);
    add("name", name);
    if (cuda.cuDeviceGetUuid && !cuda.cuDeviceGetUuid(uuid, *device)) add_uuid(uuid);
    add("compute_capability", capability);
    add_number("memory", bytes);
    return end_cuda(0);
}

/* Sends a pattern to the GPU's memory and fetches it back. */
static int round_trip(Address memory) {
    int code;
    for (unsigned i = 0; i < WORDS; i++) sent[i] = i * 2654435761u;
    memset(received, 0, BYTES);
    if ((code = ASK(cuda, cuMemcpyHtoD_v2, memory, sent, BYTES)) ||
        (code = ASK(cuda, cuMemcpyDtoH_v2, received, memory, BYTES)))
        return code;
    return memcmp(sent, received, BYTES) ? WRONG_ANSWER : 0;
}

/* Runs smoke.ptx on the pattern that is there, and compares with what it must give. */
static int run_kernel(Address memory) {
    void *module, *kernel, *arguments[] = {&memory};
    int code;
    if ((code = ASK(cuda, cuModuleLoadData, &module, ptx)) ||
        (code = ASK(cuda, cuModuleGetFunction, &kernel, module, "gpuctl")) ||
        (code = ASK(cuda, cuLaunchKernel, kernel, WORDS / THREADS, 1, 1, THREADS, 1, 1, 0, 0, arguments, 0)) ||
        (code = ASK(cuda, cuCtxSynchronize)) || (code = ASK(cuda, cuMemcpyDtoH_v2, received, memory, BYTES)))
        return code;
    for (unsigned i = 0; i < WORDS; i++)
        if (received[i] != 3 * sent[i] + i) return WRONG_ANSWER;
    return 0;
}

static int test_gpu(int gpu) {
    int code, device, well;
    void *context;
    Address memory;
    if (!describe(gpu, &device)) return 0;
    begin("context", gpu);
    if (!end_cuda(ASK(cuda, cuCtxCreate_v2, &context, BLOCKING_SYNC, device))) return 0;
    begin("memory", gpu);
    code = ASK(cuda, cuMemAlloc_v2, &memory, BYTES);
    well = end_cuda(code ? code : round_trip(memory));
    if (well) {
        begin("kernel", gpu);
        well = end_cuda(run_kernel(memory));
    }
    begin("release", gpu);
    if (!code) cuda.cuMemFree_v2(memory);
    cuda.cuCtxDestroy_v2(context);
    return well;
}

static int test_cuda(void) {
    int code, count, version, well = 1;
    if (!load("cuda-load", "libcuda.so.1", cuda_names, COUNT(cuda_names), CUDA_OPTIONAL, (void **)&cuda)) return 0;
    begin("cuda-init", -1);
    if ((code = ASK(cuda, cuInit, 0)) || (code = ASK(cuda, cuDriverGetVersion, &version)) ||
        (code = ASK(cuda, cuDeviceGetCount, &count)))
        return end_cuda(code);
    char text[32];
    snprintf(text, sizeof text, "%d.%d", version / 1000, version % 1000 / 10);
    add("cuda", text);
    add_number("count", count);
    end_cuda(0);
    for (int gpu = 0; gpu < count; gpu++) well &= test_gpu(gpu);
    return well;
}

/* Called with the stack as the kernel made it: the number of arguments, then the arguments. */
__attribute__((used)) static void run(long *stack) {
    char **arguments = (char **)(stack + 1);
    signal(SIGALRM, stop);
    alarm(stack[0] > 1 ? atoi(arguments[1]) : 60);
    /* All GPUs, whatever the image or the caller's shell prefers, and no file written. */
    unsetenv("CUDA_VISIBLE_DEVICES");
    setenv("CUDA_CACHE_DISABLE", "1", 1);
    int well = test_nvml();
    well &= test_cuda();
    begin("end", -1);
    end(0, 0);
    _exit(!well);
}

#if defined __x86_64__
__asm__(".global _start\n_start: xor %ebp, %ebp\nmov %rsp, %rdi\nand $-16, %rsp\ncall run\n");
#elif defined __aarch64__
__asm__(".global _start\n_start: mov x29, #0\nmov x30, #0\nmov x0, sp\nbl run\n");
#endif
