/* nvidia-smi of a simulated host. Linked statically: it also runs in an image that has no C library.

   Knows: no arguments, -L, and --query-gpu=FIELDS --format=csv[,noheader][,nounits]. */
#include "profiles.h"

#include <stdio.h>
#include <string.h>

static const Profile *profile;
static const Gpu *gpus[MAX_GPUS];
static int gpu_count;

static const char *mode(int value) {
    return value == NOT_SUPPORTED ? "[N/A]" : value == ON ? "Enabled" : "Disabled";
}

/* Writes the field's value and returns 1, or returns 0 when this driver has no such field. */
static int value_of(const char *field, int index, int units, char value[128]) {
    const Gpu *gpu = gpus[index];
    enum { SIZE = 128 };
    if (!strcmp(field, "index")) snprintf(value, SIZE, "%d", index);
    else if (!strcmp(field, "name") || !strcmp(field, "gpu_name")) snprintf(value, SIZE, "%s", gpu->name);
    else if (!strcmp(field, "uuid") || !strcmp(field, "gpu_uuid")) snprintf(value, SIZE, "%s", uuid_of(gpu));
    else if (!strcmp(field, "driver_version")) snprintf(value, SIZE, "%s", driver_version());
    else if (!strcmp(field, "pci.bus_id")) snprintf(value, SIZE, "00000000:%02X:00.0", gpu->bus);
    else if (!strcmp(field, "memory.total")) snprintf(value, SIZE, "%llu%s", gpu->memory_mib, units ? " MiB" : "");
    else if (!strcmp(field, "compute_cap") && driver_branch() >= 510)
        snprintf(value, SIZE, "%d.%d", gpu->cc_major, gpu->cc_minor);
    else if (!strcmp(field, "mig.mode.current") && driver_branch() >= 450) snprintf(value, SIZE, "%s", mode(gpu->mig));
    else return 0;
    return 1;
}

/* Prints one line: the names of the fields for index -1, else their values. */
static void print_row(const char *fields, int index, int units) {
    char copy[512], value[128];
    const char *separator = "";
    snprintf(copy, sizeof copy, "%s", fields);
    for (char *field = strtok(copy, ","); field; field = strtok(NULL, ",")) {
        if (index < 0) snprintf(value, sizeof value, "%s%s", field, strcmp(field, "memory.total") ? "" : " [MiB]");
        else value_of(field, index, units, value);
        printf("%s%s", separator, value);
        separator = ", ";
    }
    printf("\n");
}

/* Returns nvidia-smi's exit status. */
static int query(const char *fields, const char *format) {
    int units = !strstr(format, "nounits");
    char copy[512], value[128];
    snprintf(copy, sizeof copy, "%s", fields);
    for (char *field = strtok(copy, ","); field; field = strtok(NULL, ",")) {
        if (!value_of(field, 0, units, value)) {
            printf("Field \"%s\" is not a valid field to query.\n\n", field);
            return 2;
        }
    }
    for (int i = strstr(format, "noheader") ? 0 : -1; i < gpu_count; i++) print_row(fields, i, units);
    return 0;
}

static int list(void) {
    for (int i = 0; i < gpu_count; i++) printf("GPU %d: %s (UUID: %s)\n", i, gpus[i]->name, uuid_of(gpus[i]));
    return 0;
}

static int table(void) {
    const char *rule = "+-----------------------------------------------------------------------------+";
    /* Release notes of R610: the header names the kernel-mode and the user-mode driver. */
    const char *header = driver_branch() >= 610 ? " NVIDIA-SMI %s    KMD Version: %s    CUDA UMD Version: %s"
                                                : " NVIDIA-SMI %s    Driver Version: %s    CUDA Version: %s";
    char line[128];
    snprintf(line, sizeof line, header, driver_version(), driver_version(), profile->cuda);
    printf("%s\n|%-77s|\n%s\n", rule, line, rule);
    for (int i = 0; i < gpu_count; i++) {
        snprintf(line, sizeof line, " %3d  %-26s On | 00000000:%02X:00.0 Off | 0MiB / %lluMiB", i, gpus[i]->name,
                 gpus[i]->bus, gpus[i]->memory_mib);
        printf("|%-77s|\n", line);
    }
    printf("%s\n", rule);
    return 0;
}

/* Says why NVML does not start, and returns nvidia-smi's exit status. */
static int init_failure(void) {
    if (profile->init_result == NVML_MISMATCH) {
        printf("Failed to initialize NVML: Driver/library version mismatch\n");
        printf("NVML library version: %d.%.3s\n", driver_branch(), strchr(driver_version(), (int)46) + 1);
    } else if (profile->init_result == NVML_UNKNOWN) {
        printf("Failed to initialize NVML: Unknown Error\n");
        return 255;
    } else {
        printf("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
               "Make sure that the latest NVIDIA driver is installed and running.\n\n");
    }
    return profile->init_result;
}

/* Asks each GPU as NVML would; returns nvidia-smi's exit status when one of them does not answer. */
static int device_failure(void) {
    for (int i = 0; i < gpu_count; i++) {
        if (gpus[i]->blocks) block();
        if (gpus[i]->fails) {
            printf("Unable to determine the device handle for GPU 0000:%02X:00.0: GPU is lost.  "
                   "Reboot the system to recover this GPU\n\n", gpus[i]->bus);
            return gpus[i]->fails;
        }
    }
    return 0;
}

static int answer(int argc, char **argv) {
    const char *fields = NULL, *format = "";
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "-L") || !strcmp(argv[i], "--list-gpus")) return list();
        if (!strncmp(argv[i], "--query-gpu=", 12)) fields = argv[i] + 12;
        else if (!strncmp(argv[i], "--format=", 9)) format = argv[i] + 9;
        else {
            printf("Invalid combination of input arguments. Please run 'nvidia-smi -h' for help.\n\n");
            return 2;
        }
    }
    return fields ? query(fields, format) : table();
}

int main(int argc, char **argv) {
    int failure;
    profile = current_profile();
    if (profile->init_blocks) block();
    if (profile->init_result != NVML_OK) return init_failure();
    gpu_count = visible_gpus(profile, gpus);
    if (gpu_count == 0) {
        printf("No devices were found\n");
        return 6;
    }
    failure = device_failure();
    return failure ? failure : answer(argc, argv);
}
