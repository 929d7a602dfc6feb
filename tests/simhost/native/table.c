/* Prints the table as JSON, for the Python side of the test bed. */
#include "profiles.h"

#include <stdio.h>

static void print_gpu(const Gpu *gpu) {
    printf("{\"name\": \"%s\", \"uuid\": \"%s\", \"address\": \"0000:%02x:00.0\", ", gpu->name, gpu->uuid, gpu->bus);
    printf("\"vendor\": \"%04x\", \"device\": \"%04x\", ", gpu->pci_id & 0xffff, gpu->pci_id >> 16);
    printf("\"subsystem\": \"%04x\", \"device_class\": \"%06x\", ", gpu->subsystem_id >> 16, gpu->class_id);
    printf("\"compute_capability\": \"%d.%d\", \"memory_mib\": %llu}", gpu->cc_major, gpu->cc_minor, gpu->memory_mib);
}

static void print_profile(const Profile *profile) {
    printf("{\"name\": \"%s\", \"driver\": \"%s\", ", profile->name, profile->driver);
    printf("\"module\": \"%s\", \"cuda\": \"%s\", \"gpus\": [", profile->module, profile->cuda);
    for (int i = 0; i < profile->gpu_count; i++) {
        if (i) printf(", ");
        print_gpu(&profile->gpus[i]);
    }
    printf("]}");
}

int main(void) {
    printf("[");
    for (int i = 0; i < profile_count; i++) {
        if (i) printf(",\n ");
        print_profile(&profiles[i]);
    }
    printf("]\n");
    return 0;
}
