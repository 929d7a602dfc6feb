/* The simulated GPU hosts: one table for libnvidia-ml.so.1, nvidia-smi and the Python side.

   Which row applies is said by settings, each an environment variable or, where that is not set, a line of the
   same form in /etc/gpusim-profile (a container does not inherit the host's environment):
   GPUSIM_PROFILE=name     the row; without it there is no driver
   GPUSIM_DRIVER=version   another driver version than the row's
   GPUSIM_CUDA=failure     how CUDA fails: see cuda.c
   GPUSIM_DEVICES=list     the GPUs that a container got: all, none, void, indexes or UUIDs
   Without GPUSIM_DEVICES, NVIDIA_VISIBLE_DEVICES is honoured in its place. */
#ifndef GPUSIM_PROFILES_H
#define GPUSIM_PROFILES_H

enum { NOT_SUPPORTED = -1, OFF = 0, ON = 1 };

/* nvml.h */
enum { BRAND_TESLA = 2, BRAND_GEFORCE = 5, BRAND_NVIDIA = 14 };
enum {
    NVML_OK = 0, NVML_UNINITIALIZED = 1, NVML_INVALID_ARGUMENT = 2, NVML_NOT_SUPPORTED = 3, NVML_INSUFFICIENT_SIZE = 7,
    NVML_DRIVER_NOT_LOADED = 9, NVML_FUNCTION_NOT_FOUND = 13, NVML_GPU_IS_LOST = 15, NVML_MISMATCH = 18, NVML_UNKNOWN = 999
};

typedef struct {
    const char *name, *uuid;
    unsigned bus, pci_id, subsystem_id, class_id; /* pci_id: device << 16 | vendor, as NVML gives it */
    int cc_major, cc_minor, brand;
    unsigned long long memory_mib;
    int mig, ecc, ecc_errors, remap_pending;
    int fails, blocks; /* the NVML error of every query; queries never return */
} Gpu;

enum { MAX_GPUS = 8 };

typedef struct {
    const char *name;
    const char *driver; /* of the user-space libraries */
    const char *module; /* of the module in the kernel; "" when none is loaded */
    const char *cuda;
    int init_result, init_blocks;
    int gpu_count; /* as NVML counts; `gpus` are on the PCI bus even where NVML fails */
    Gpu gpus[MAX_GPUS];
} Profile;

extern const Profile profiles[];
extern const int profile_count;

/* The value of a setting, from the environment or the file; NULL when it is in neither. */
const char *setting(const char *name);
/* The profile in force; never NULL. */
const Profile *current_profile(void);
/* The user-space driver version in force. */
const char *driver_version(void);
/* What tells a GPU from all others. */
const char *uuid_of(const Gpu *gpu);
/* The branch of that version: 418 for 418.87.00. */
int driver_branch(void);
/* Fills `visible` with the GPUs that are visible, renumbered from 0, and returns how many. */
int visible_gpus(const Profile *profile, const Gpu *visible[MAX_GPUS]);
/* Never returns in any time that a test waits. */
void block(void);

#endif
