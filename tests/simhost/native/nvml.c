/* libnvidia-ml.so.1 of a simulated host: the functions that nvidia-ml-py calls for gpuctl, answered from the table. */
#include "profiles.h"

#include <stdio.h>
#include <string.h>

typedef const Gpu *Device;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_id, subsystem_id;
    char bus_id[32];
} PciInfo;

static const Profile *profile; /* NULL until nvmlInit succeeded */
static const Gpu *devices[MAX_GPUS];
static int device_count;

#define REQUIRE(condition, error) do { if (!(condition)) return (error); } while (0)
/* What every query of a device begins with. */
#define REACH(device) do { \
    REQUIRE(profile, NVML_UNINITIALIZED); \
    REQUIRE(device, NVML_INVALID_ARGUMENT); \
    if ((device)->blocks) block(); \
    REQUIRE(!(device)->fails, (device)->fails); \
} while (0)

static int give(char *buffer, unsigned size, const char *text) {
    REQUIRE(size > strlen(text), NVML_INSUFFICIENT_SIZE);
    strcpy(buffer, text);
    return NVML_OK;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    const Profile *wanted = current_profile();
    if (wanted->init_blocks) block();
    REQUIRE(wanted->init_result == NVML_OK, wanted->init_result);
    profile = wanted;
    device_count = visible_gpus(profile, devices);
    return NVML_OK;
}

int nvmlInit_v2(void) {
    return nvmlInitWithFlags(0);
}

int nvmlShutdown(void) {
    REQUIRE(profile, NVML_UNINITIALIZED);
    profile = NULL;
    return NVML_OK;
}

const char *nvmlErrorString(int result) {
    switch (result) {
    case NVML_OK: return "Success";
    case NVML_UNINITIALIZED: return "Uninitialized";
    case NVML_INVALID_ARGUMENT: return "Invalid Argument";
    case NVML_NOT_SUPPORTED: return "Not Supported";
    case NVML_INSUFFICIENT_SIZE: return "Insufficient Size";
    case NVML_DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case NVML_FUNCTION_NOT_FOUND: return "Function Not Found";
    case NVML_GPU_IS_LOST: return "GPU is lost";
    case NVML_MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

int nvmlSystemGetDriverVersion(char *version, unsigned size) {
    REQUIRE(profile, NVML_UNINITIALIZED);
    return give(version, size, driver_version());
}

int nvmlSystemGetNVMLVersion(char *version, unsigned size) {
    /* NVML's own version has the major CUDA version in front, as in 10.418.87.00. */
    char text[80];
    REQUIRE(profile, NVML_UNINITIALIZED);
    snprintf(text, sizeof text, "%.2s.%s", profile->cuda, driver_version());
    return give(version, size, text);
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) {
    int major, minor;
    REQUIRE(profile, NVML_UNINITIALIZED);
    sscanf(profile->cuda, "%d.%d", &major, &minor);
    *version = major * 1000 + minor * 10;
    return NVML_OK;
}

int nvmlSystemGetCudaDriverVersion(int *version) {
    return nvmlSystemGetCudaDriverVersion_v2(version);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    REQUIRE(profile, NVML_UNINITIALIZED);
    *count = device_count;
    return NVML_OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    REQUIRE(profile, NVML_UNINITIALIZED);
    REQUIRE((int)index < device_count, NVML_INVALID_ARGUMENT);
    if (devices[index]->blocks) block();
    *device = devices[index];
    return NVML_OK;
}

int nvmlDeviceGetName(Device device, char *name, unsigned size) {
    REACH(device);
    return give(name, size, device->name);
}

int nvmlDeviceGetUUID(Device device, char *uuid, unsigned size) {
    REACH(device);
    return give(uuid, size, uuid_of(device));
}

int nvmlDeviceGetPciInfo_v3(Device device, PciInfo *info) {
    REACH(device);
    memset(info, 0, sizeof *info);
    info->bus = device->bus;
    info->pci_id = device->pci_id;
    info->subsystem_id = device->subsystem_id;
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "0000:%02X:00.0", device->bus);
    snprintf(info->bus_id, sizeof info->bus_id, "00000000:%02X:00.0", device->bus);
    return NVML_OK;
}

int nvmlDeviceGetCudaComputeCapability(Device device, int *major, int *minor) {
    REACH(device);
    *major = device->cc_major;
    *minor = device->cc_minor;
    return NVML_OK;
}

int nvmlDeviceGetBrand(Device device, unsigned *brand) {
    REACH(device);
    *brand = device->brand;
    return NVML_OK;
}

int nvmlDeviceGetMemoryInfo(Device device, Memory *memory) {
    REACH(device);
    memory->total = device->memory_mib << 20;
    memory->used = 0;
    memory->free = memory->total;
    return NVML_OK;
}

int nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2 *memory) {
    REACH(device);
    REQUIRE(driver_branch() >= 510, NVML_FUNCTION_NOT_FOUND);
    memory->total = device->memory_mib << 20;
    memory->reserved = memory->used = 0;
    memory->free = memory->total;
    return NVML_OK;
}

int nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
    REACH(device);
    REQUIRE(driver_branch() >= 450, NVML_FUNCTION_NOT_FOUND);
    REQUIRE(device->mig != NOT_SUPPORTED, NVML_NOT_SUPPORTED);
    *current = *pending = device->mig;
    return NVML_OK;
}

int nvmlDeviceGetEccMode(Device device, unsigned *current, unsigned *pending) {
    REACH(device);
    REQUIRE(device->ecc != NOT_SUPPORTED, NVML_NOT_SUPPORTED);
    *current = *pending = device->ecc;
    return NVML_OK;
}

int nvmlDeviceGetTotalEccErrors(Device device, unsigned type, unsigned counter, unsigned long long *count) {
    (void)counter;
    REACH(device);
    REQUIRE(device->ecc == ON, NVML_NOT_SUPPORTED);
    *count = type == 1 ? device->ecc_errors : 0; /* 1: uncorrected */
    return NVML_OK;
}

int nvmlDeviceGetRemappedRows(Device device, unsigned *corrected, unsigned *uncorrected, unsigned *pending,
                              unsigned *failed) {
    REACH(device);
    REQUIRE(driver_branch() >= 450, NVML_FUNCTION_NOT_FOUND);
    REQUIRE(device->cc_major >= 8 && device->ecc != NOT_SUPPORTED, NVML_NOT_SUPPORTED);
    *corrected = *failed = 0;
    *uncorrected = *pending = device->remap_pending;
    return NVML_OK;
}

int nvmlDeviceGetPersistenceMode(Device device, unsigned *mode) {
    REACH(device);
    *mode = ON;
    return NVML_OK;
}

int nvmlDeviceGetMinorNumber(Device device, unsigned *minor) {
    REACH(device);
    *minor = device - profile->gpus;
    return NVML_OK;
}

int nvmlDeviceGetSerial(Device device, char *serial, unsigned size) {
    (void)serial, (void)size;
    REACH(device);
    return NVML_NOT_SUPPORTED;
}

int nvmlDeviceGetTemperature(Device device, unsigned sensor, unsigned *celsius) {
    (void)sensor;
    REACH(device);
    *celsius = 36;
    return NVML_OK;
}

int nvmlDeviceGetVbiosVersion(Device device, char *version, unsigned size) {
    REACH(device);
    return give(version, size, "92.00.45.00.03");
}

int nvmlDeviceGetPowerManagementLimit(Device device, unsigned *milliwatts) {
    REACH(device);
    *milliwatts = 400000;
    return NVML_OK;
}

int nvmlDeviceGetCurrPcieLinkWidth(Device device, unsigned *lanes) {
    REACH(device);
    *lanes = 16;
    return NVML_OK;
}

int nvmlDeviceGetMaxPcieLinkGeneration(Device device, unsigned *generation) {
    REACH(device);
    *generation = device->cc_major >= 8 ? 4 : 3;
    return NVML_OK;
}

int nvmlDeviceGetNvLinkState(Device device, unsigned link, unsigned *is_up) {
    REACH(device);
    REQUIRE(strstr(device->name, "SXM"), NVML_NOT_SUPPORTED);
    REQUIRE(link < 12, NVML_INVALID_ARGUMENT);
    *is_up = link != 11; /* the last one is down */
    return NVML_OK;
}
