#include "profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PCI(device) (0x##device##u << 16 | 0x10deu)
#define DISPLAY_3D 0x030200
#define DISPLAY_VGA 0x030000

#define V100(n, where) \
    {.name = "Tesla V100-SXM2-32GB", .uuid = "GPU-5ec0a1f7-1c2d-4b6e-9a3f-0000000010" #n, .bus = where, \
     .pci_id = PCI(1db5), .subsystem_id = PCI(1249), .class_id = DISPLAY_3D, .cc_major = 7, .cc_minor = 0, \
     .brand = BRAND_TESLA, .memory_mib = 32480, .mig = NOT_SUPPORTED, .ecc = ON}

#define A100(n, where, mig_mode) \
    {.name = "NVIDIA A100-SXM4-80GB", .uuid = "GPU-a1000000-7c1e-4d52-8b7a-00000000000" #n, .bus = where, \
     .pci_id = PCI(20b2), .subsystem_id = PCI(1463), .class_id = DISPLAY_3D, .cc_major = 8, .cc_minor = 0, \
     .brand = BRAND_NVIDIA, .memory_mib = 81920, .mig = mig_mode, .ecc = ON}

const Profile profiles[] = {
    {.name = "none", .driver = "535.161.08", .module = "535.161.08", .cuda = "12.2"},
    {.name = "no-driver", .driver = "535.161.08", .module = "", .cuda = "12.2",
     .init_result = NVML_DRIVER_NOT_LOADED, .gpu_count = 1, .gpus = {V100(10, 0x3b)}},
    {.name = "v100", .driver = "418.87.00", .module = "418.87.00", .cuda = "10.1",
     .gpu_count = 1, .gpus = {V100(20, 0x3b)}},
    {.name = "a100x8", .driver = "535.161.08", .module = "535.161.08", .cuda = "12.2", .gpu_count = 8,
     .gpus = {A100(0, 0x07, OFF), A100(1, 0x0f, OFF), A100(2, 0x47, OFF), A100(3, 0x4e, OFF),
              A100(4, 0x87, OFF), A100(5, 0x90, OFF), A100(6, 0xb7, OFF), A100(7, 0xbd, ON)}},
    {.name = "mixed", .driver = "570.124.06", .module = "570.124.06", .cuda = "12.8", .gpu_count = 3,
     .gpus = {
         {.name = "NVIDIA GeForce RTX 3090", .uuid = "GPU-30900000-52a1-4f0b-b6d3-000000000001", .bus = 0x01,
          .pci_id = PCI(2204), .subsystem_id = PCI(1454), .class_id = DISPLAY_VGA, .cc_major = 8, .cc_minor = 6,
          .brand = BRAND_GEFORCE, .memory_mib = 24576, .mig = NOT_SUPPORTED, .ecc = NOT_SUPPORTED},
         {.name = "Tesla T4", .uuid = "GPU-74000000-9be2-4c11-a0f5-000000000002", .bus = 0x41,
          .pci_id = PCI(1eb8), .subsystem_id = PCI(12a2), .class_id = DISPLAY_3D, .cc_major = 7, .cc_minor = 5,
          .brand = BRAND_NVIDIA, .memory_mib = 15360, .mig = NOT_SUPPORTED, .ecc = ON},
         {.name = "NVIDIA A30", .uuid = "GPU-a3000000-1d7f-4e9c-8c44-000000000003", .bus = 0x81,
          .pci_id = PCI(20b7), .subsystem_id = PCI(1532), .class_id = DISPLAY_3D, .cc_major = 8, .cc_minor = 0,
          .brand = BRAND_NVIDIA, .memory_mib = 24576, .mig = OFF, .ecc = ON, .ecc_errors = 3, .remap_pending = 1}}},
    {.name = "h200", .driver = "580.159.03", .module = "580.159.03", .cuda = "13.0", .gpu_count = 1,
     .gpus = {{.name = "NVIDIA H200", .uuid = "GPU-42000000-6f3b-4a87-9d15-000000000001", .bus = 0x0f,
               .pci_id = PCI(2335), .subsystem_id = PCI(18be), .class_id = DISPLAY_3D, .cc_major = 9, .cc_minor = 0,
               .brand = BRAND_NVIDIA, .memory_mib = 143771, .mig = OFF, .ecc = ON}}},
    {.name = "kmd", .driver = "610.43.02", .module = "610.43.02", .cuda = "13.3", .gpu_count = 1,
     .gpus = {{.name = "NVIDIA B200", .uuid = "GPU-b2000000-2e6a-4d70-8f21-000000000001", .bus = 0x63,
               .pci_id = PCI(2901), .subsystem_id = PCI(1999), .class_id = DISPLAY_3D, .cc_major = 10, .cc_minor = 0,
               .brand = BRAND_NVIDIA, .memory_mib = 183359, .mig = OFF, .ecc = ON}}},
    {.name = "hang", .driver = "418.87.00", .module = "418.87.00", .cuda = "10.1", .init_blocks = ON,
     .gpu_count = 1, .gpus = {V100(30, 0x3b)}},
    {.name = "hang-device", .driver = "535.161.08", .module = "535.161.08", .cuda = "12.2", .gpu_count = 2,
     .gpus = {V100(40, 0x3b), {.name = "Tesla V100-SXM2-32GB", .uuid = "GPU-5ec0a1f7-1c2d-4b6e-9a3f-000000001041",
                               .bus = 0x86, .pci_id = PCI(1db5), .subsystem_id = PCI(1249), .class_id = DISPLAY_3D,
                               .blocks = ON}}},
    {.name = "closed", .driver = "535.161.08", .module = "535.161.08", .cuda = "12.2", .init_result = NVML_UNKNOWN,
     .gpu_count = 1, .gpus = {V100(70, 0x3b)}},
    {.name = "mismatch", .driver = "535.183.01", .module = "535.161.08", .cuda = "12.2", .init_result = NVML_MISMATCH,
     .gpu_count = 1, .gpus = {V100(50, 0x3b)}},
    {.name = "lost", .driver = "535.161.08", .module = "535.161.08", .cuda = "12.2", .gpu_count = 2,
     .gpus = {V100(60, 0x3b), {.name = "Tesla V100-SXM2-32GB", .uuid = "GPU-5ec0a1f7-1c2d-4b6e-9a3f-000000001061",
                               .bus = 0x86, .pci_id = PCI(1db5), .subsystem_id = PCI(1249), .class_id = DISPLAY_3D,
                               .fails = NVML_GPU_IS_LOST}}},
};
const int profile_count = sizeof profiles / sizeof profiles[0];

const char *setting(const char *name) {
    static char line[512];
    const char *value = getenv(name);
    size_t length = strlen(name);
    FILE *file = value ? NULL : fopen("/etc/gpusim-profile", "r");
    while (file && !value && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, name, length) && line[length] == '=') value = line + length + 1;
    }
    if (file) fclose(file);
    return value;
}

const Profile *current_profile(void) {
    const char *name = setting("GPUSIM_PROFILE");
    if (!name) name = "no-driver";
    for (int i = 0; i < profile_count; i++)
        if (!strcmp(profiles[i].name, name)) return &profiles[i];
    fprintf(stderr, "gpusim: no profile is called %s\n", name);
    exit(70);
}

const char *driver_version(void) {
    static char version[64];
    const char *wanted = setting("GPUSIM_DRIVER");
    if (!wanted) return current_profile()->driver;
    snprintf(version, sizeof version, "%s", wanted);
    return version;
}

/* By GPUSIM_HOST, four hexadecimal digits, the GPUs of hosts with one profile are told apart. */
const char *uuid_of(const Gpu *gpu) {
    static char text[64];
    const char *host = setting("GPUSIM_HOST");
    snprintf(text, sizeof text, "%s", gpu->uuid);
    if (host && strlen(host) == 4) memcpy(text + strlen("GPU-12345678-"), host, 4);
    return text;
}

int driver_branch(void) {
    return atoi(driver_version());
}

/* Whether a comma-separated list of indexes and UUIDs names this GPU. */
static int listed(const char *list, int index, const char *uuid) {
    char copy[512], number[16];
    snprintf(copy, sizeof copy, "%s", list);
    snprintf(number, sizeof number, "%d", index);
    for (char *word = strtok(copy, ","); word; word = strtok(NULL, ","))
        if (!strcmp(word, "all") || !strcmp(word, number) || !strcmp(word, uuid)) return 1;
    return 0;
}

int visible_gpus(const Profile *profile, const Gpu *visible[MAX_GPUS]) {
    const char *list = setting("GPUSIM_DEVICES");
    int count = 0;
    if (!list) list = getenv("NVIDIA_VISIBLE_DEVICES");
    for (int i = 0; i < profile->gpu_count; i++)
        if (!list || listed(list, i, profile->gpus[i].uuid)) visible[count++] = &profile->gpus[i];
    return count;
}

void block(void) {
    sleep(3600);
}
