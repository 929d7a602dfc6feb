/* libcuda.so.1 of a simulated host: the functions that gpuctl's own program calls, on the GPUs of the table.

   A GPU's memory is real memory. The kernel is run only if the text is that of smoke.ptx, as no PTX is understood.
   GPUSIM_CUDA=failure, several separated by commas, says what goes wrong:
   FUNCTION=code    it returns that CUresult; FUNCTION=code@1: only for GPU 1
   FUNCTION=hang    it never returns
   FUNCTION=crash   the kernel ends the program (a signal of its own does nothing to a container's first process)
   FUNCTION=wrong   what it copies or computes comes out wrong */
#include "profiles.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_CONTEXT = 201, INVALID_PTX = 218 };
enum { CAPABILITY_MAJOR = 75, CAPABILITY_MINOR = 76 };

extern const char smoke_ptx[];
__asm__(".section .rodata\n.hidden smoke_ptx\nsmoke_ptx: .incbin \"smoke.ptx\"\n.byte 0\n.previous\n");

static const Gpu *devices[MAX_GPUS];
static int device_count = -1; /* until cuInit succeeded */
static int current = -1;      /* the GPU of the current context */

/* What GPUSIM_CUDA says of a function, for the GPU whose turn it is; NULL when nothing. */
static const char *fate(const char *function, int gpu) {
    static char copy[256];
    const char *failures = setting("GPUSIM_CUDA");
    size_t length = strlen(function);
    snprintf(copy, sizeof copy, "%s", failures ? failures : "");
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ",")) {
        char *where = strchr(word, '@');
        if (!strncmp(word, function, length) && word[length] == '=' && (!where || atoi(where + 1) == gpu))
            return word + length + 1;
    }
    return NULL;
}

static int wrong(const char *function, int gpu) {
    const char *said = fate(function, gpu);
    return said && !strncmp(said, "wrong", 5);
}

static int failure(const char *function, int gpu) {
    const char *said = fate(function, gpu);
    if (!said) return SUCCESS;
    if (!strncmp(said, "hang", 4)) block();
    if (!strncmp(said, "crash", 5)) __builtin_trap();
    return atoi(said);
}

#define REQUIRE(condition, error) do { if (!(condition)) return (error); } while (0)
#define FAIL_AS_TOLD(gpu) do { int told = failure(__func__, gpu); REQUIRE(told == SUCCESS, told); } while (0)
#define REACH(gpu) do { \
    REQUIRE(device_count >= 0, NOT_INITIALIZED); \
    REQUIRE((gpu) >= 0 && (gpu) < device_count, INVALID_VALUE); \
    FAIL_AS_TOLD(gpu); \
} while (0)
#define IN_CONTEXT() do { REQUIRE(current >= 0, INVALID_CONTEXT); REACH(current); } while (0)

static void *nothing(void *argument) {
    return argument;
}

/* A GPU that is divided is reached through its MIG devices only; no profile has made any. */
static int without_mig(int count) {
    int kept = 0;
    for (int i = 0; i < count; i++)
        if (devices[i]->mig != ON) devices[kept++] = devices[i];
    return kept;
}

int cuInit(unsigned flags) {
    const Profile *profile = current_profile();
    pthread_t thread;
    (void)flags;
    FAIL_AS_TOLD(-1);
    /* What tests set there is a list without a GPU. */
    REQUIRE(!getenv("CUDA_VISIBLE_DEVICES"), NO_DEVICE);
    /* The real one starts threads as well. */
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL)) abort();
    REQUIRE(profile->init_result == NVML_OK, NO_DEVICE);
    device_count = without_mig(visible_gpus(profile, devices));
    REQUIRE(device_count > 0, NO_DEVICE);
    return SUCCESS;
}

int cuDriverGetVersion(int *version) {
    int major, minor;
    sscanf(current_profile()->cuda, "%d.%d", &major, &minor);
    *version = major * 1000 + minor * 10;
    return SUCCESS;
}

int cuDeviceGetCount(int *count) {
    REQUIRE(device_count >= 0, NOT_INITIALIZED);
    *count = wrong(__func__, -1) ? device_count - 1 : device_count;
    return SUCCESS;
}

int cuDeviceGet(int *device, int index) {
    REACH(index);
    *device = index;
    return SUCCESS;
}

int cuDeviceGetName(char *name, int size, int device) {
    REACH(device);
    snprintf(name, size, "%s", devices[device]->name);
    return SUCCESS;
}

int cuDeviceGetUuid(unsigned char uuid[16], int device) {
    REACH(device);
    int digits = 0;
    memset(uuid, 0, 16);
    for (const char *letter = devices[device]->uuid + 4; *letter; letter++) {
        if (*letter == '-') continue;
        char digit[2] = {*letter, 0};
        uuid[digits / 2] = uuid[digits / 2] << 4 | strtol(digit, NULL, 16);
        digits++;
    }
    return SUCCESS;
}

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    REACH(device);
    REQUIRE(attribute == CAPABILITY_MAJOR || attribute == CAPABILITY_MINOR, INVALID_VALUE);
    *value = attribute == CAPABILITY_MAJOR ? devices[device]->cc_major : devices[device]->cc_minor;
    return SUCCESS;
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    REACH(device);
    *bytes = devices[device]->memory_mib << 20;
    return SUCCESS;
}

int cuCtxCreate_v2(void **context, unsigned flags, int device) {
    (void)flags;
    REACH(device);
    *context = &devices[device];
    current = device;
    return SUCCESS;
}

int cuCtxDestroy_v2(void *context) {
    REQUIRE(context == &devices[current], INVALID_CONTEXT);
    current = -1;
    return SUCCESS;
}

int cuMemAlloc_v2(uint64_t *memory, size_t bytes) {
    IN_CONTEXT();
    *memory = (uintptr_t)malloc(bytes);
    return SUCCESS;
}

int cuMemFree_v2(uint64_t memory) {
    IN_CONTEXT();
    free((void *)(uintptr_t)memory);
    return SUCCESS;
}

int cuMemcpyHtoD_v2(uint64_t memory, const void *from, size_t bytes) {
    IN_CONTEXT();
    memcpy((void *)(uintptr_t)memory, from, bytes);
    if (wrong(__func__, current)) ((unsigned char *)(uintptr_t)memory)[bytes / 2] ^= 0x10;
    return SUCCESS;
}

int cuMemcpyDtoH_v2(void *to, uint64_t memory, size_t bytes) {
    IN_CONTEXT();
    memcpy(to, (void *)(uintptr_t)memory, bytes);
    return SUCCESS;
}

int cuModuleLoadData(void **module, const void *text) {
    IN_CONTEXT();
    REQUIRE(!strcmp(text, smoke_ptx), INVALID_PTX);
    *module = (void *)smoke_ptx;
    return SUCCESS;
}

int cuModuleGetFunction(void **kernel, void *module, const char *name) {
    IN_CONTEXT();
    REQUIRE(module == smoke_ptx && !strcmp(name, "gpuctl"), INVALID_VALUE);
    *kernel = module;
    return SUCCESS;
}

int cuLaunchKernel(void *kernel, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads,
                   unsigned threads_y, unsigned threads_z, unsigned shared, void *stream, void **arguments,
                   void **extra) {
    (void)shared, (void)stream, (void)extra;
    IN_CONTEXT();
    REQUIRE(kernel == smoke_ptx && blocks_y * blocks_z * threads_y * threads_z == 1, INVALID_VALUE);
    uint32_t *words = (uint32_t *)(uintptr_t)*(uint64_t *)arguments[0];
    for (uint32_t i = 0; i < blocks * threads; i++) words[i] = 3 * words[i] + i;
    if (wrong(__func__, current)) words[blocks] ^= 1;
    return SUCCESS;
}

int cuCtxSynchronize(void) {
    IN_CONTEXT();
    return SUCCESS;
}

int cuGetErrorName(int code, const char **name) {
    static const struct { int code; const char *name; } names[] = {
        {2, "CUDA_ERROR_OUT_OF_MEMORY"}, {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"}, {100, "CUDA_ERROR_NO_DEVICE"},
        {218, "CUDA_ERROR_INVALID_PTX"}, {719, "CUDA_ERROR_LAUNCH_FAILED"}, {802, "CUDA_ERROR_SYSTEM_NOT_READY"},
        {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}, {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"},
        {999, "CUDA_ERROR_UNKNOWN"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code) {
            *name = names[i].name;
            return SUCCESS;
        }
    return INVALID_VALUE;
}
